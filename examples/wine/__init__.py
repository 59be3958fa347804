"""Which of three cultivars a wine is made of, by five numbers of a laboratory: `python -m examples.wine`."""
