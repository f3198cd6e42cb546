"""What the command lines of all tools share: quantities, errors as one line, suggestions, colour."""
