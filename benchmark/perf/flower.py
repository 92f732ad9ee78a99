"""The clients of noop.py under Flower's simulation; runs in Flower's own venv, which has nothing of this project.

Its last line is JSON: the seconds of each round and the driver's peak memory. Arguments: clients actors width sleep_ms
rounds.
"""

import json
import resource
import sys
import time

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

CLIENTS, ACTORS, WIDTH, SLEEP_MS, ROUNDS = (int(float(value)) for value in sys.argv[1:6])
ARRAYS = 20
client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    time.sleep(SLEEP_MS / 1000)
    arrays = [array + 1 for array in message.content["arrays"].to_numpy_ndarrays()]
    reply = {"arrays": ArrayRecord(arrays), "metrics": MetricRecord({"num-examples": 1})}
    return Message(content=RecordDict(reply), reply_to=message)


class Timed(FedAvg):
    """FedAvg that notes when each round starts and when its mean is there."""

    started: list = []
    ended: list = []

    def configure_train(self, *args, **kwargs):
        self.started.append(time.perf_counter())
        return super().configure_train(*args, **kwargs)

    def aggregate_train(self, server_round, replies):
        mean = super().aggregate_train(server_round, replies)
        self.ended.append(time.perf_counter())
        return mean


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    strategy = Timed(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=CLIENTS, min_available_nodes=CLIENTS)
    start = ArrayRecord([np.zeros(WIDTH, dtype=np.float32) for _ in range(ARRAYS)])
    strategy.start(grid=grid, initial_arrays=start, num_rounds=ROUNDS)


if __name__ == "__main__":
    cpus = {"num_cpus": 1, "num_gpus": 0.0}
    run_simulation(server_app, client_app, CLIENTS, backend_config={
        "client_resources": cpus, "init_args": {"num_cpus": ACTORS, "include_dashboard": False},
    })  # fmt: skip
    seconds = [end - start for start, end in zip(Timed.started, Timed.ended, strict=True)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "driver_rss_mb": peak}))
