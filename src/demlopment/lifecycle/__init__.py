"""The loop that composes the rooms. Start with loop.py; imported by name, so that its records stay cheap to import."""
