"""What a run optimises, one task a file: `Config` and `Task`, all that the trainer knows (training/task.py)."""
