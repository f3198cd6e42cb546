"""How containers get their virtual files: a module for each container system, and a launcher of our own."""
