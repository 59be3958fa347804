"""The commands of the command line, one file for each noun. They call one verb each and decide nothing."""
