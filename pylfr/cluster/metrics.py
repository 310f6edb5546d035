"""The cluster as Prometheus asks for it: nodes, what they have, and what no node has room for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pylfr.cluster.head import ClusterHead


class ClusterCollector(Collector):
    """Gives the numbers of one head. Labels are nodes: never a person."""

    def __init__(self, head: ClusterHead) -> None:
        self._head = head

    def collect(self) -> Iterator[Metric]:
        status = self._head.status()
        held = GaugeMetricFamily("pylfr_cluster_node_cameras", "Cameras that a node has", labels=["node"])
        room = GaugeMetricFamily("pylfr_cluster_node_capacity", "Cameras that a node can hold", labels=["node"])
        age = GaugeMetricFamily("pylfr_cluster_node_word_age_seconds", "Age of a node's last word", labels=["node"])
        newest = GaugeMetricFamily(
            "pylfr_cluster_node_watchlist_newest", "1 where a node has confirmed the newest watchlist", labels=["node"]
        )
        waiting = GaugeMetricFamily(
            "pylfr_cluster_node_alerts_waiting", "Alerts of a node that the head has not recorded", labels=["node"]
        )
        for each in status.nodes:
            held.add_metric([each.name], len(each.cameras))
            room.add_metric([each.name], each.capacity)
            age.add_metric([each.name], each.beat_s_ago)
            waiting.add_metric([each.name], each.alerts_waiting)
            newest.add_metric([each.name], float(each.has_newest_watchlist))
        yield from (held, room, age, newest, waiting)
        yield GaugeMetricFamily("pylfr_cluster_nodes", "Nodes under a lease", value=len(status.nodes))
        yield GaugeMetricFamily(
            "pylfr_cluster_cameras_unplaced", "Cameras that no node has room for", value=len(status.unplaced)
        )
        yield GaugeMetricFamily(
            "pylfr_cluster_running", "1 unless it was stopped", value=float(not status.stopped_because)
        )
        yield CounterMetricFamily("pylfr_cluster_alerts", "Alerts that this head has recorded", value=status.alerts)
        yield CounterMetricFamily("pylfr_cluster_alerts_repeated", "Alerts that it had already", value=status.repeats)
