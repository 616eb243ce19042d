"""One side in a process of its own: answers requests, a line of JSON each, until its input ends.

python benchmarks/worker.py CASE SIDE THREADS
"""

import json
import os
import sys
import traceback


def main() -> None:
    case, side, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what packages print goes with the errors
    from sides import SIDES

    if SIDES[side].keeps:  # before torch allocates
        from filmgrain import keep_freed_memory

        keep_freed_memory()
    import torch

    torch.set_num_threads(int(threads))
    from measure import Bench

    bench = Bench(case, side)
    answers.write(json.dumps({"answer": "ready"}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": getattr(bench, request.pop("do"))(**request)}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
