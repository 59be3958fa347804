"""Machine learning in production: a snapshot becomes an archive, answers become a verdict, the verdict starts the next turn."""

__version__ = "0.1.0"
