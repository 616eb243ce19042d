"""Images and videos in and out: one reader for every container, and the writers of GIF, MP4, PNG and contact sheets.

`read` makes a `Clip` (uint8 frames and their times) of any video, animation, still or folder of frames, and names what
is wrong with a file in one line (`Unreadable`). This room imports nothing of the package.
"""
