"""Real data through the whole way: train, compile, calibrate, evaluate; see `__main__`."""
