"""Where questions come from: families with generators, difficulty levels and verifiers of their own."""
