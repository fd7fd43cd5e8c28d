"""From a task's examples to the batches of a model, and what tells how they are made."""
