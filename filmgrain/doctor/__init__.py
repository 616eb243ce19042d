"""What usually goes wrong, looked for: each check is a small function of one subject, and yields what it finds.

`data` looks at items and files, `recipe` at settings, `machine` at memory and disk, `run` at what a run has told, and
`weights` at a checkpoint. A check that can say nothing yields nothing. To add one: write it in its subject's file, name
it in the CHECKS there, and give tests/doctor a case in which it fires and one in which it does not.
"""
