"""What a run optimises, one task a file: `Config` and `Task`, which is all that the trainer knows (training/task.py)."""
