"""What is read off a run while it trains: its curve, spikes, clipped steps, gradients, and what stops it."""
