"""Learning: trajectories become lessons, by a model or by the assistant."""
