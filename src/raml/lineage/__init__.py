"""How results came about: jobs, hashes, machine, times; and the files that tell others."""
