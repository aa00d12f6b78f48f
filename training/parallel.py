"""Run a command of this package in parallel processes, each with its share of the CPUs and a GPU."""

import asyncio
import os
import sys
from collections.abc import Sequence

import joblib

from contracts.exit_status import BAD_INPUT, NOTHING_TO_DO, InputError, NothingToDo
from training.command import TransientError

FAILURES = {BAD_INPUT: InputError, NOTHING_TO_DO: NothingToDo}


def run_in_parallel(module: str, commands: Sequence[Sequence[str]], processes: int) -> list[str]:
    """Run a module with each list of arguments, at most `processes` at a time, and return their outputs.

    If one fails or this process is interrupted, the others are terminated.

    Raises:
        InputError, NothingToDo, TransientError: according to the exit status of the process that failed. It
            has printed the reason.
    """
    try:
        return asyncio.run(_run_all(module, commands, processes))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


def environments(processes: int) -> list[dict[str, str]]:
    """Return the variables of each process. Set OMP_NUM_THREADS to give each another number of threads."""
    import torch  # takes seconds

    threads = {"OMP_NUM_THREADS": str(max(1, joblib.cpu_count() // processes))}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    gpus = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in visible.split(",")]
    return [threads | os.environ | gpus[number % len(gpus)] for number in range(processes)]


async def _run_all(module: str, commands: Sequence[Sequence[str]], processes: int) -> list[str]:
    idle: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    for environment in environments(max(1, min(processes, len(commands)))):
        idle.put_nowait(environment)

    async def run(arguments: Sequence[str]) -> str:
        environment = await idle.get()
        command = [sys.executable, "-m", module, *arguments]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        if status := process.returncode:
            raise FAILURES.get(status, TransientError)(f"{' '.join(command[2:])} ended with status {status}")
        idle.put_nowait(environment)
        return output.decode()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(arguments)) for arguments in commands]
    return [task.result() for task in tasks]
