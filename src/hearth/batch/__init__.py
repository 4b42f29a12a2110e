"""Offline batches in OpenAI's format: many requests from a file, their answers to a file. Where it was stopped, it goes
on.

`lines` reads and checks what is asked, `output` keeps what is answered, `run` puts many requests at once through the
server's own application (`local`) or through several of them (`ray`).
"""

from hearth.batch.lines import BatchInput, Entry, read_batch
from hearth.batch.output import BatchOutput, RunRecord
from hearth.batch.run import Answerer, BatchProgress, run_batch

__all__ = ["Answerer", "BatchInput", "BatchOutput", "BatchProgress", "Entry", "RunRecord", "read_batch", "run_batch"]
