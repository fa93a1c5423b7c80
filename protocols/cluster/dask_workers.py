"""Carry out a study on workers that dask-jobqueue submits to SLURM, as many as there is work for.

    python protocols/cluster/dask_workers.py PROTOCOL --out /scratch/me/results --jobs 16

Needs ``elastic-collapse[dask]`` and ``dask-jobqueue``. This process runs the scheduler: start it where it may stay (a
login node, or a job of its own). If it is stopped, the same command resumes the study.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import elastic


def slurm_cluster(options: argparse.Namespace) -> Any:
    """Return a cluster whose jobs are workers of one process and one thread; a job ends well before its walltime."""
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(
        queue=options.partition,
        account=options.account,
        cores=1,
        processes=1,
        job_cpu=options.cpus,
        memory=options.memory,
        walltime=options.walltime,
        worker_extra_args=["--lifetime", options.lifetime, "--lifetime-stagger", "2m"],
    )


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", type=Path)
    parser.add_argument("--out", type=Path, help="folder that all nodes see [results]")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="PATH=VALUE")
    parser.add_argument("--jobs", type=int, default=8, help="greatest number of workers [8]")
    parser.add_argument("--cpus", type=int, default=1, help="cores of a worker: training.threads of the protocol [1]")
    parser.add_argument("--memory", default="2GiB", help="of a worker, as elastic plan prints it [2GiB]")
    parser.add_argument("--walltime", default="04:00:00", help="of a worker's job [04:00:00]")
    parser.add_argument("--lifetime", default="230m", help="after which a worker ends by itself [230m]")
    parser.add_argument("--partition")
    parser.add_argument("--account")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> elastic.Study:
    """Run the protocol to its end and return the study, sealed."""
    options = parsed(arguments)
    with slurm_cluster(options) as cluster:
        cluster.adapt(minimum=1, maximum=options.jobs)
        return elastic.run(
            options.protocol, out=options.out, settings=options.settings, scheduler=cluster.scheduler_address
        )


if __name__ == "__main__":
    print(main())
