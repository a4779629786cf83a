"""Ray Data at a walking pace: what both of its shells, ingestion and training's inputs, need."""

import time

from ray.data._internal.execution.execution_callback import ExecutionCallback

PAUSE_S = 0.02


class Paced(ExecutionCallback):
    """Lets the control loop of Ray Data rest between its rounds.

    While every task is at work, or waits for its output to be consumed, the loop of Ray 2.60 goes
    round without a pause. It then takes CPU, and the interpreter's lock, from whatever the process
    is there for; on a small machine, from the tasks themselves.
    """

    def on_execution_step(self, executor: object) -> None:
        time.sleep(PAUSE_S)
