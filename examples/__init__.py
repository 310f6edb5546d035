"""Short programs that show how pylfr is used; the tests run them."""
