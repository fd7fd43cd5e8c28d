"""What an anchor-free detector can reach at the most, told without training one."""
