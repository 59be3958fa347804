-- Beside the database of searches, which the image makes. Read once, when the volume is new.
CREATE DATABASE mlflow;
