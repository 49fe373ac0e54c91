"""What the machine has to give: cores, memory, threads that do not spin."""
