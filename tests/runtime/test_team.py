"""The thread team: nobody waits for ever, nobody spins when there is nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from tests.runtime import plan_writer as pw
from tests.runtime.conftest import BundleMaker
from tests.runtime.test_functions import counting_plan
from tests.waiting import wait_for

from hearth.errors import UsageError
from hearth.runtime import Model, Session


def busy_plan(microseconds: int, units: int) -> pw.PlanWriter:
    p = pw.PlanWriter()
    p.function("work")
    p.step(p.kernel("t_busy", 0, 1), [], [p.constant(microseconds)], units=p.constant(units))
    return p


def processor_time_of(seconds: float) -> float:
    """What all threads of this process take of so much time."""
    before = time.process_time()
    time.sleep(seconds)
    return time.process_time() - before


def test_an_idle_session_uses_no_processor(make_bundle: BundleMaker) -> None:
    with Session(Model(make_bundle(counting_plan(1000, 1))), threads=4) as session:
        for _ in range(10):
            session.run("work", {})
        # Other threads of this process may have something to do now and then; a team that spins never rests.
        wait_for(lambda: processor_time_of(0.2) < 0.02)


def test_threads_that_sleep_wake_for_the_next_run(make_bundle: BundleMaker) -> None:
    with Session(Model(make_bundle(counting_plan(64, 1))), threads=3) as session:
        for run in range(1, 30):
            assert session.run("work", {})["total"][0] == 2 * run * 64
            time.sleep(0.003)


def test_more_threads_than_processors_only_cost_time(make_bundle: BundleMaker) -> None:
    with Session(Model(make_bundle(counting_plan(500, 1))), threads=32) as session:
        for run in range(1, 50):
            assert session.run("work", {})["total"][0] == 2 * run * 500


def test_a_busy_machine_changes_no_result(make_bundle: BundleMaker) -> None:
    """Other programs take cores away from threads that have work in hand; nothing is lost, nobody waits for ever."""
    cores = os.cpu_count() or 1
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        with Session(Model(make_bundle(counting_plan(500, 1))), threads=2 * cores + 1) as session:
            for run in range(1, 50):
                assert session.run("work", {})["total"][0] == 2 * run * 500
                time.sleep(0.0003 * (run % 3))  # some threads sleep, some still spin
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_work_is_shared(make_bundle: BundleMaker) -> None:
    """With two threads a step takes processor time on both, not the caller's alone."""
    with Session(Model(make_bundle(busy_plan(2000, 100))), threads=2) as session:

        def callers_share() -> float:
            before = time.thread_time()
            session.run("work", {})
            return time.thread_time() - before

        wait_for(lambda: callers_share() < 0.19)  # of 0.2; on a busy machine the caller may have to do all of it


def test_a_second_run_at_the_same_time_is_refused(make_bundle: BundleMaker) -> None:
    with Session(Model(make_bundle(busy_plan(300_000, 1))), threads=2) as session:

        def is_refused() -> bool:
            first = threading.Thread(target=session.run, args=["work", {}])
            first.start()
            time.sleep(0.1)
            try:
                session.run("work", {})
            except UsageError as error:
                return "another thread runs a function" in str(error)
            finally:
                first.join()
            return False  # a busy machine let it come before the first or after it

        wait_for(is_refused)
        session.run("work", {})


def test_sessions_run_side_by_side(make_bundle: BundleMaker) -> None:
    model = Model(make_bundle(counting_plan(300, 1)))
    wrong: list[int] = []

    def work() -> None:
        with Session(model, threads=2) as session:
            for run in range(1, 100):
                if session.run("work", {})["total"][0] != 2 * run * 300:
                    wrong.append(run)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_child_computes_alone(make_bundle: BundleMaker) -> None:
    """The team's other threads do not exist in the child; it must neither hang nor be wrong."""
    session = Session(Model(make_bundle(counting_plan(100, 1))), threads=3)
    session.run("work", {})
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        right = session.run("work", {})["total"][0] == 400
        session.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert session.run("work", {})["total"][0] == 400
