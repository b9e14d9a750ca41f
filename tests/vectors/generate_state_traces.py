#!/usr/bin/env python3
"""Writes random programs over keyed state, with answers, in the format of state_traces.jsonl.

    generate_state_traces.py --model FILE [--count N] [--seed N] > programs/state_traces.jsonl
    tarn-vectors programs

The answers are those of a model: FILE is the script that comes with Flink's vectors and gives all of
Flink's answers, replay_state.py. What programs may hold goes beyond those recorded: keys and values
of any text, TTLs up to never, timers at the ends of time, windows that merge in any order, deep
histories of snapshots and restores. What Flink itself leaves open is left out: a merge whose target
is among its sources or whose expired sides meet, timer counts behind a late timer.

A run by hand, before a change of state kinds is landed: some thousand programs, each in a fresh seed.
"""
import argparse
import json
import random
import sys

MAX = (1 << 63) - 1
MIN = -(1 << 63)
WORDS = ["", "a", "AaBB", "BBAa", "k3", "user-462", "\u00e9t\u00e9", "\u65e5\u672c", "\ufffd", "x y", "\"q\\", "\u0001", "z" * 200]
GROUPS = [1, 2, 7, 16, 128, 129, 256] * 4 + [720, 4096, 32768]
TTLS = [1, 2, 3, 10, 100, 1000, 60000, 86400000, MAX - 1, MAX]


def load_model(path):
    """Takes what the script defines, and not what it does."""
    text = open(path).read()
    scope = {}
    exec(compile(text[:text.index("\nbad = 0")], path, "exec"), scope)
    return scope["Model"], scope["key_group"]


class Program:
    def __init__(self, number, rng, model, key_group):
        self.rng = rng
        self.key_group = key_group
        kind = rng.choice(["void", "string", "window"])
        with_timers = rng.random() < 0.5
        rearm = {"every": rng.randint(2, 5), "delay": rng.randint(1, 12)} if rng.random() < 0.3 else None
        groups = rng.choice(GROUPS)
        clock = rng.choice([0, 1000, 1700000000000, 1 << 60])
        self.t = {
            "id": number, "profile": "generated", "max_parallelism": groups,
            "parallelism": rng.randint(1, min(4, groups)), "namespace_kind": kind, "clock_start": clock,
            "processing_time_start": 0, "states": [], "timers": {"rearm": rearm} if with_timers else None,
            "features": [], "ops": []}
        for i in range(rng.randint(1, 4)):
            self.t["states"].append(self.state(i))
        self.model = model(self.t)
        self.keys = rng.sample(WORDS, 5) + [self.word() for _ in range(3)]
        self.namespaces = [None] if kind == "void" else (
            [self.word() for _ in range(4)] if kind == "string"
            else [[rng.choice([MIN, -5, 0, 2000]) , rng.choice([0, 7, 4000, MAX])] for _ in range(4)])
        self.snapshots = []
        self.placed = False
        self.late = {"event": MIN, "processing": MIN}
        self.counts = True

    def word(self):
        rng = self.rng
        if rng.random() < 0.3:
            return rng.choice(WORDS)
        return "".join(chr(rng.choice([rng.randint(33, 126), rng.randint(0xa1, 0x7ff)])) for _ in range(rng.randint(0, 12)))

    def state(self, i):
        rng = self.rng
        kind = rng.choice(["value", "list", "map", "reducing", "aggregating"])
        s = {"name": "%s.%d" % (rng.choice(["s", "x y", "count"]), i), "kind": kind,
             "type": "int64" if kind in ("reducing", "aggregating") else rng.choice(["string", "int64"]), "ttl": None}
        if kind == "reducing":
            s["reducer"] = rng.choice(["sum", "min", "max"])
        if rng.random() < 0.6:
            s["ttl"] = {"ms": rng.choice(TTLS), "update": rng.choice(["create_and_write", "read_and_write"]),
                        "visibility": rng.choice(["never_return_expired", "return_expired_if_not_cleaned"])}
        return s

    def value(self, s):
        rng = self.rng
        if s["type"] == "int64":
            return rng.choice([rng.randint(-9, 99), rng.randint(MIN, MAX), MIN, MAX])
        return self.word()

    def emit(self, op, **fields):
        op = dict({"op": op}, **fields)
        result = self.model.step(op)
        reads = op["op"] in ("get", "contains", "entries", "is_empty", "keys", "keys_and_namespaces", "iterate_remove",
                             "advance_watermark", "advance_processing_time", "count_event_timers", "count_processing_timers")
        if reads:
            op["result"] = result
        self.t["ops"].append(op)

    def place(self):
        key = self.rng.choice(self.keys)
        self.emit("set_key", key=key, key_group=self.key_group(key, self.t["max_parallelism"]))
        self.emit("set_namespace", namespace=self.rng.choice(self.namespaces))
        self.placed = True

    def merge(self, s):
        rng = self.rng
        if self.t["namespace_kind"] == "void" or s["kind"] not in ("list", "reducing", "aggregating"):
            return
        target = rng.choice(self.namespaces)
        sources = [n for n in rng.choices(self.namespaces + [self.fresh()], k=rng.randint(0, 4)) if n != target]
        if s["ttl"] and s["kind"] != "list":
            # What Flink makes of expired sides depends on the backend.
            sides = [self.model.live["data"].get((s["name"], self.model.key, tuple(n) if isinstance(n, list) else n))
                     for n in sources + [target]]
            if any(e and self.model.expired(s, e) for e in sides):
                return
        self.emit("merge_namespaces", state=s["name"], target=target, sources=sources)
        self.emit("set_namespace", namespace=rng.choice(self.namespaces))

    def fresh(self):
        return self.word() if self.t["namespace_kind"] == "string" else [self.rng.randint(0, 99), self.rng.randint(100, 199)]

    def access(self, s):
        rng, name = self.rng, s["name"]
        kind = s["kind"]
        dice = rng.random()
        if dice < 0.08:
            self.emit("clear", state=name)
        elif dice < 0.14:
            self.emit("keys", state=name, namespace=rng.choice(self.namespaces))
        elif dice < 0.17 and self.t["namespace_kind"] == "string":
            self.emit("keys_and_namespaces", state=name)
        elif dice < 0.24:
            self.merge(s)
        elif kind == "map":
            self.map(s)
        elif rng.random() < 0.45:
            self.emit("get", state=name)
        elif kind == "list":
            op = rng.choice(["add", "add", "add_all", "update"])
            if op == "add":
                self.emit("add", state=name, value=self.value(s))
            else:
                self.emit(op, state=name, values=[self.value(s) for _ in range(rng.choice([0, 1, 2, 5, 40]))])
        elif kind == "value":
            self.emit("put", state=name, value=None if rng.random() < 0.1 else self.value(s))
        else:
            self.emit("add", state=name, value=self.value(s))

    def map(self, s):
        rng, name = self.rng, s["name"]
        keys = ["", "a", "b", "ab", "\u00e9", "zz"]
        null = 0.1 if not (s["ttl"] and s["type"] == "int64") else 0
        value = lambda: None if rng.random() < null else self.value(s)
        op = rng.choice(["put", "put", "put_all", "get", "get", "contains", "entries", "is_empty", "remove", "iterate_remove"])
        if op == "put":
            self.emit("put", state=name, map_key=rng.choice(keys), value=value())
        elif op == "put_all":
            chosen = rng.sample(keys + ["m%d" % i for i in range(30)], rng.choice([1, 3, 20]))
            self.emit("put_all", state=name, entries=[[k, value()] for k in chosen])
        elif op in ("get", "contains", "remove"):
            self.emit(op, state=name, map_key=rng.choice(keys))
        elif op == "iterate_remove":
            at = (name, self.model.key, tuple(self.model.ns) if isinstance(self.model.ns, list) else self.model.ns)
            there = sorted(self.model.live["data"].get(at, {}))
            chosen = rng.sample(keys, 2)
            if not set(there) <= set(chosen):  # A map that its iterator empties is left open.
                self.emit("iterate_remove", state=name, map_keys=chosen)
        else:
            self.emit(op, state=name)

    def timer(self):
        rng = self.rng
        domain = rng.choice(["event", "processing"])
        time = rng.choice([rng.randint(-50, 400), rng.randint(MIN, MAX), MIN, MAX, MAX - 1, MIN + 1, 0, -1])
        if self.t["timers"]["rearm"]:
            time = rng.randint(-50, 400)  # What is armed again from the one end to the other never ends.
        dice = rng.random()
        if dice < 0.5 and self.placed:
            self.emit("register_%s_timer" % domain, time=time)
            if time <= self.late[domain]:
                self.counts = False
        elif dice < 0.65 and self.placed:
            self.emit("delete_%s_timer" % domain, time=time)
            self.counts = False
        elif dice < 0.75 and self.counts:
            self.emit("count_%s_timers" % domain, namespace=rng.choice(self.namespaces))
        elif dice > 0.8:
            self.late[domain] = max(self.late[domain], time)
            self.emit("advance_watermark" if domain == "event" else "advance_processing_time", time=self.late[domain])
            self.placed = False

    def restore(self):
        rng = self.rng
        p = rng.randint(1, min(5, self.t["max_parallelism"]))
        g = self.t["max_parallelism"]
        ranges = [[(i * g + p - 1) // p, ((i + 1) * g - 1) // p] for i in range(p)]
        self.emit("restore", snapshot=rng.choice(self.snapshots), parallelism=p, ranges=ranges)
        self.late = {"event": MIN, "processing": MIN}
        self.counts = False
        self.placed = False

    def run(self, steps):
        rng = self.rng
        for _ in range(steps):
            dice = rng.random()
            if not self.placed or dice < 0.15:
                self.place()
            elif dice < 0.25:
                ms = rng.choice([0, 1, 1, 2, 3, 10, 100, 1000, 86400000])
                self.emit("advance_clock", ms=ms, now=self.model.now + ms)
            elif dice < 0.4 and self.t["timers"]:
                self.timer()
            elif dice < 0.42 and len(self.snapshots) < 6:
                self.snapshots.append(len(self.snapshots))
                self.emit("snapshot", snapshot=self.snapshots[-1])
            elif dice < 0.44 and self.snapshots:
                self.restore()
            elif dice < 0.48 and self.t["namespace_kind"] != "void":
                self.emit("set_namespace", namespace=rng.choice(self.namespaces))
            else:
                self.access(rng.choice(self.t["states"]))
        return self.t


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    model, key_group = load_model(arguments.model)
    for i in range(arguments.count):
        rng = random.Random(arguments.seed * 1000003 + i)
        print(json.dumps(Program(i, rng, model, key_group).run(rng.choice([40, 150, 300]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
