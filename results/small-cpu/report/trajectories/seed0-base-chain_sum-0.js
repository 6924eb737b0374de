ramlPart("seed0-base-chain_sum-0",{"vocabulary":[],"questions":{}});
