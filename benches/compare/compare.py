#!/usr/bin/env python3
"""Measures Provenn and EZKL on the same models, in one run on one machine, one process at a time, alternating.

EZKL is installed from PyPI into a virtual environment that this script makes. README.md beside this file says what is
measured. The script itself needs the standard library only; it starts itself again inside the virtual environment for the
steps that need EZKL or ONNX Runtime (`--step`).
"""

import argparse
import asyncio
import datetime
import importlib.metadata
import inspect
import json
import os
import platform
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ZOO = REPOSITORY / "models" / "zoo"
PACKAGES = ["numpy", "onnx", "onnxruntime"]
STAGES = ["setup", "prove", "verify"]


# The steps that run inside the virtual environment.


def symbols(model):
    """Names of the model's symbolic axes: all of them are batches here."""
    import onnx

    inputs = onnx.load(model).graph.input
    return sorted({d.dim_param for value in inputs for d in value.type.tensor_type.shape.dim if d.dim_param})


async def timed(parts, name, function, *arguments, **named):
    """Calls one of EZKL's functions, some of which are asynchronous, and notes the seconds it took."""
    began = time.perf_counter()
    result = function(*arguments, **named)
    if inspect.isawaitable(result):
        result = await result
    parts[name] = time.perf_counter() - began
    return result


async def step_circuit(job):
    """Settings with EZKL's defaults: inputs and outputs public, weights fixed by the verifying key."""
    import ezkl

    arguments = ezkl.PyRunArgs()
    arguments.variables = [("batch_size", 1)] + [(name, 1) for name in symbols(job["model"]) if name != "batch_size"]
    parts = {}
    await timed(parts, "gen_settings", ezkl.gen_settings, job["model"], "settings.json", py_run_args=arguments)
    await timed(
        parts, "calibrate", ezkl.calibrate_settings, job["samples"], job["model"], "settings.json", "resources"
    )
    await timed(parts, "compile", ezkl.compile_circuit, job["model"], "circuit.ezkl", "settings.json")
    settings = json.loads(Path("settings.json").read_text())
    run_args = settings["run_args"]
    kept = {name: run_args[name] for name in ["logrows", "input_scale", "param_scale", "num_inner_cols"]}
    visibility = {name: run_args[f"{name}_visibility"] for name in ["input", "output", "param"]}
    return {"parts": parts, "settings": {**kept, "rows": settings["num_rows"], "visibility": visibility}}


async def step_srs(job):
    import ezkl

    parts = {}
    part = job["srs"] + ".part"
    if job["download"]:
        await timed(parts, "get_srs", ezkl.get_srs, settings_path="settings.json", srs_path=part)
    else:
        await timed(parts, "gen_srs", ezkl.gen_srs, part, job["logrows"])
    os.rename(part, job["srs"])
    return {"parts": parts}


async def step_setup(job):
    import ezkl

    parts = {}
    await timed(parts, "setup", ezkl.setup, "circuit.ezkl", "vk", "pk", job["srs"])
    return {"parts": parts, "prover_key": Path("pk").stat().st_size, "verifier_key": Path("vk").stat().st_size}


async def step_prove(job):
    import ezkl

    parts = {}
    await timed(parts, "gen_witness", ezkl.gen_witness, job["input"], "circuit.ezkl", "witness.json")
    await timed(parts, "prove", ezkl.prove, "witness.json", "circuit.ezkl", "pk", "proof.json", job["srs"])
    proof = json.loads(Path("proof.json").read_text())
    return {
        "parts": parts,
        "proof_bytes": len(proof["proof"]),
        "instances": sum(len(instances) for instances in proof["instances"]),
        "proof_file_bytes": Path("proof.json").stat().st_size,
        "output": [float(x) for tensor in proof["pretty_public_inputs"]["rescaled_outputs"] for x in tensor],
    }


async def step_verify(job):
    import ezkl

    parts = {}
    accepted = await timed(parts, "verify", ezkl.verify, "proof.json", "settings.json", "vk", job["srs"])
    if not accepted:
        raise RuntimeError("EZKL refuses its own proof")
    return {"parts": parts}


async def step_reference(job):
    """The model's float output, and the calibration samples for EZKL in its own format."""
    import numpy
    import onnxruntime

    session = onnxruntime.InferenceSession(job["model"], providers=["CPUExecutionProvider"])
    declared = session.get_inputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in declared.shape]
    flat = numpy.array(json.loads(Path(job["input"]).read_text())["input_data"], dtype=numpy.float32)
    (output,) = session.run(None, {declared.name: flat.reshape(shape)})
    samples = numpy.load(job["npz"])["x"][: job["count"]].astype(numpy.float64)
    Path(job["samples"]).write_text(json.dumps({"input_data": [samples.reshape(-1).tolist()]}))
    versions = {name: importlib.metadata.version(name) for name in ["ezkl", *PACKAGES]}
    return {"output": output.reshape(-1).tolist(), "versions": versions}


def worker(name, job):
    """Runs one step, and prints what it returns as the last line of standard output."""

    async def main():
        return await globals()[f"step_{name}"](json.loads(job))

    print("\n" + json.dumps(asyncio.run(main())), flush=True)


# Processes.


class Failed(Exception):
    """A step that did not do what it should: where, and why."""

    def __init__(self, stage, reason):
        super().__init__(reason)
        self.stage, self.reason = stage, reason


class Runner:
    """Starts one process at a time, within the limits of time and memory."""

    def __init__(self, options, environment):
        self.seconds, self.memory, self.environment = options.timeout, options.memory << 30, environment
        self.scratch = Path(environment["TMPDIR"])
        # A process inherits the peak memory of the one that starts it, so less than this is not seen.
        self.floor = self.run(["true"], self.scratch)["peak"]

    def run(self, command, directory):
        """What a process wrote, its wall and processor seconds and its peak memory in bytes."""

        def prepare():
            resource.setrlimit(resource.RLIMIT_AS, (self.memory, self.memory))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        late = threading.Event()
        with open(self.scratch / "stdout", "w+") as out, open(self.scratch / "stderr", "w+") as err:
            began = time.perf_counter()
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                preexec_fn=prepare,
                start_new_session=True,
            )

            def stop():
                late.set()
                os.killpg(process.pid, signal.SIGKILL)

            timer = threading.Timer(self.seconds, stop)
            timer.start()
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            finally:
                timer.cancel()
            wall = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            return {
                "code": process.returncode,
                "late": late.is_set(),
                "stdout": out.read(),
                "stderr": err.read(),
                "wall": wall,
                "cpu": used.ru_utime + used.ru_stime,
                "peak": used.ru_maxrss * 1024,
            }

    def checked(self, stage, command, directory):
        """Runs a process whose last line of output is a JSON object; returns both."""
        result = self.run(command, directory)
        if result["late"]:
            raise Failed(stage, f"exceeds the time limit of {self.seconds} s")
        lines = [line.strip() for line in result["stdout"].splitlines() if line.strip()]
        if result["code"] != 0 or not lines:
            said = [line.strip() for line in result["stderr"].splitlines() if line.strip()]
            last = said[-1][:300] if said else "nothing on standard error"
            code = result["code"]
            if code < 0:
                limit = f"memory limit {self.memory >> 30} GiB, peak {result['peak'] / 2**30:.1f} GiB"
                last = f"ended by {signal.Signals(-code).name} ({limit}): {last}"
            raise Failed(stage, last)
        return result, json.loads(lines[-1])


class Side:
    """What was measured of one of the two systems on one model."""

    def __init__(self):
        self.record = {stage: {"seconds": [], "cpu": [], "peak": []} for stage in STAGES}
        self.record.update(failure=None, proof_bytes=None, prover_key=None, verifier_key=None, output_error=None)

    def note(self, stage, seconds, cpu, peak, parts=None):
        own = self.record[stage]
        for name, value in [("seconds", seconds), ("cpu", cpu), ("peak", peak)]:
            own[name].append(value)
        for name, value in (parts or {}).items():
            own.setdefault("parts", {}).setdefault(name, []).append(value)

    def fail(self, failed):
        self.record["failure"] = {"step": failed.stage, "reason": failed.reason}


class Provenn(Side):
    """Whole processes of the command: each reads its files and starts cold."""

    def __init__(self, runner, options, name, directory, reference):
        super().__init__()
        self.runner, self.threads, self.directory, self.reference = runner, options.threads, directory, reference
        self.binary, self.model = options.provenn, name

    def call(self, stage, *arguments):
        command = [self.binary, *arguments, "--json", "--quiet", "--threads", self.threads]
        return self.runner.checked(stage, command, self.directory)

    def setup(self):
        zoo = ZOO / self.model
        onnx, samples = zoo / f"{self.model}.onnx", zoo / "samples.npz"
        result, said = self.call("commit", "commit", onnx, "--calibrate", samples, "-o", "key", "--force")
        self.note("setup", result["wall"], result["cpu"], result["peak"])
        self.record.update(prover_key=said["pk_bytes"], verifier_key=said["vk_bytes"])

    def prove(self):
        source = ZOO / self.model / "input.json"
        result, said = self.call("prove", "prove", "key.pk", source, "-o", "x.proof", "--force")
        parts = {"prove": said["prove_ms"] / 1e3}
        self.note("prove", result["wall"], result["cpu"], said["peak_rss_bytes"], parts)
        self.record.update(proof_bytes=said["proof_bytes"], output_error=distance(said["output"], self.reference))

    def verify(self):
        result, said = self.call("verify", "verify", "key.vk", "x.proof")
        if said["accepted"] is not True:
            raise Failed("verify", "Provenn refuses its own proof")
        self.note("verify", result["wall"], result["cpu"], result["peak"])


class Ezkl(Side):
    """Calls of EZKL's functions, each stage in a process of its own; its start and imports are not counted as time."""

    def __init__(self, runner, options, name, directory, reference, samples):
        super().__init__()
        self.runner, self.options, self.directory, self.reference = runner, options, directory, reference
        self.job = {"model": str(ZOO / name / f"{name}.onnx"), "input": str(ZOO / name / "input.json")}
        self.job["samples"] = str(samples)

    def call(self, step, stage, **more):
        self.job.update(more)
        return self.runner.checked(
            stage, step_command(self.options.python, step, self.job), self.directory
        )

    def setup(self):
        if len(self.record["setup"]["seconds"]) >= self.options.setups:
            return
        circuit, made = self.call("circuit", "gen_settings, calibrate or compile")
        self.record["settings"] = made["settings"]
        self.obtain_srs(made["settings"]["logrows"])
        keys, said = self.call("setup", "setup")
        parts = {**made["parts"], **said["parts"]}
        cpu, peak = circuit["cpu"] + keys["cpu"], max(circuit["peak"], keys["peak"])
        self.note("setup", sum(parts.values()), cpu, peak, parts)
        self.record.update(prover_key=said["prover_key"], verifier_key=said["verifier_key"])

    def obtain_srs(self, logrows):
        """The structured reference string of this size: kept from an earlier model, downloaded, or made here."""
        path = self.options.srs / f"k{logrows}.srs"
        self.job["srs"] = str(path)
        if path.exists():
            self.record.setdefault("srs", {"origin": "kept from an earlier run", "bytes": path.stat().st_size})
            return
        try:
            _, said = self.call("srs", "get_srs", download=True, logrows=logrows)
        except Failed as failed:
            # Some errors of the transport name the address only, others span lines: what matters is that there is none.
            print(f"  no download of the SRS ({failed.reason}); it is generated", file=sys.stderr)
            _, said = self.call("srs", "gen_srs", download=False, logrows=logrows)
        self.record["srs"] = {"origin": said["parts"], "bytes": path.stat().st_size}

    def prove(self):
        result, said = self.call("prove", "gen_witness or prove")
        self.note("prove", sum(said["parts"].values()), result["cpu"], result["peak"], said["parts"])
        for name in ["proof_bytes", "instances", "proof_file_bytes"]:
            self.record[name] = said[name]
        self.record["output_error"] = distance(said["output"], self.reference)

    def verify(self):
        result, said = self.call("verify", "verify")
        self.note("verify", sum(said["parts"].values()), result["cpu"], result["peak"], said["parts"])


def step_command(python, step, job):
    return [python, Path(__file__).resolve(), "--step", step, json.dumps(job)]


def distance(output, reference):
    if len(output) != len(reference):
        raise Failed("prove", f"{len(output)} outputs, expected {len(reference)}")
    return max(abs(a - b) for a, b in zip(output, reference))


# The machine.


def machine():
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "avx512ifma": "avx512ifma" in info,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}",
    }


class Others:
    """The share of the machine's processor time that other processes took, from here on."""

    def __init__(self):
        self.began, self.start = time.monotonic(), self.busy()

    @staticmethod
    def busy():
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        user, nice, system, _idle, _iowait, irq, soft, steal = ticks
        total = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return total - sum(used.ru_utime + used.ru_stime for used in own)

    def share(self):
        spent = (time.monotonic() - self.began) * os.cpu_count()
        return max(0.0, self.busy() - self.start) / spent


# The report.


def duration(values):
    if not values:
        return "-"

    def text(seconds):
        return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"

    middle = text(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({text(min(values))} to {text(max(values))})"


def size(count):
    if count is None:
        return "-"
    for unit, step in [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]:
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def peak(stage, floor):
    if not stage["peak"]:
        return "-"
    most = max(stage["peak"])
    return f"< {size(floor * 1.05)}" if most <= floor * 1.05 else size(most)


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def markdown(result):
    whole, times, failures = [], [], []
    for model in result["models"]:
        for system in ["provenn", "ezkl"]:
            side = model[system]
            title = {"provenn": "Provenn", "ezkl": "EZKL"}[system]
            failure = side["failure"]
            cells = {stage: duration(side[stage]["seconds"]) for stage in STAGES}
            if failure:
                failures.append(f"- {title} on {model['name']}, at {failure['step']}: {failure['reason']}\n")
                first = next((stage for stage in STAGES if not side[stage]["seconds"]), "verify")
                cells[first] = "fails, see below"
            error = side["output_error"]
            keys = f"{size(side['prover_key'])} / {size(side['verifier_key'])}"
            # Provenn's prover tells its own peak memory.
            floors = [result["floor"], 0 if system == "provenn" else result["floor"]]
            memory = " / ".join(peak(side[stage], floor) for stage, floor in zip(["setup", "prove"], floors))
            whole.append(
                [model["name"], title, *(cells[stage] for stage in STAGES), side["proof_bytes"] or "-", keys]
                + [memory, "-" if error is None else f"{error:.1e}"]
            )
            times.append([model["name"], title, *(duration(side[stage]["cpu"]) for stage in STAGES)])
    measured, versions = result["machine"], result["versions"]
    vector = "with" if measured["avx512ifma"] else "without"
    text = [f"# Provenn and EZKL side by side, {result['date']}\n\n"]
    text.append(
        f"{measured['processor']}, {measured['cores']} cores ({vector} AVX-512 IFMA), "
        f"{size(measured['memory_bytes'])} of memory, {measured['system']}; {result['threads']} threads. "
        f"{versions['provenn']} (checkout {versions['checkout']}), EZKL {versions['ezkl']}, "
        f"ONNX Runtime {versions['onnxruntime']}. "
        f"Limits for one process: {result['timeout']} s, {result['memory_gib']} GiB of address space.\n\n"
    )
    text.append(f"```console\n$ {result['command']}\n```\n\n")
    text.append(
        f"Medians of up to {result['runs']} alternating runs, with minimum and maximum; EZKL's set-up "
        f"{result['setups']} time(s). [README.md](README.md) says what is measured.\n\n"
    )
    header = ["model", "", *("set-up", "prove", "verify"), "proof, bytes", "key: prover / verifier"]
    text.append(table([*header, "peak memory: set-up / prove", "output error"], whole))
    text.append("\n" + "".join(failures) + "\n" if failures else "\n")
    text.append("Processor time of the same processes, all threads, which other load disturbs less:\n\n")
    text.append(table(["model", "", "set-up", "prove", "verify"], times))
    shares = ", ".join(f"{model['name']} {model['others'] * 100:.0f} %" for model in result["models"])
    text.append(f"\nOther processes took of the machine's processor time meanwhile: {shares}.\n\n")
    sources = [
        f"{model['name']} 2^{side['settings']['logrows']} rows, {size(side['srs']['bytes'])}, "
        + origin(side["srs"]["origin"])
        for model in result["models"]
        if "srs" in (side := model["ezkl"])
    ]
    if sources:
        text.append(f"EZKL's structured reference string, not counted as set-up: {'; '.join(sources)}.\n")
    return "".join(text)


def origin(kept):
    if isinstance(kept, str):
        return kept
    return ", ".join(
        f"{'generated here for tests' if name == 'gen_srs' else 'downloaded'} in {duration([seconds])}"
        for name, seconds in kept.items()
    )


def write(directory, result):
    """Writes both forms, each whole or not at all."""
    for name, text in [("result.json", json.dumps(result, indent=1) + "\n"), ("RESULT.md", markdown(result))]:
        part = directory / f"{name}.part"
        part.write_text(text)
        part.replace(directory / name)


# The run.


def environment(threads, scratch):
    """The same for every process; EZKL takes its threads from the variable."""
    kept = {name: os.environ[name] for name in ["PATH", "HOME", "LANG", "SSL_CERT_FILE"] if name in os.environ}
    # EZKL writes below HOME/.ezkl unless it is told otherwise.
    own = {"RAYON_NUM_THREADS": str(threads), "TMPDIR": str(scratch), "EZKL_REPO_PATH": str(scratch / "ezkl")}
    return {**kept, **own}


def install(directory, version):
    """A virtual environment with EZKL; returns its interpreter."""
    python = directory / "bin" / "python"
    if not python.exists():
        venv.create(directory, with_pip=True)
    quiet = ["-q", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", "install", *quiet, f"ezkl=={version}", *PACKAGES], check=True)
    return python


def build():
    """Builds the command of this checkout; returns its path."""
    command = ["cargo", "build", "--release", "-p", "provenn", "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    return Path(next(m["executable"] for m in reversed(messages) if m.get("executable")))


def measure(runner, options, name, scratch):
    directory = scratch / name
    samples = directory / "samples.json"
    for part in ["provenn", "ezkl"]:
        (directory / part).mkdir(parents=True)
    zoo = ZOO / name
    job = {"model": str(zoo / f"{name}.onnx"), "input": str(zoo / "input.json"), "npz": str(zoo / "samples.npz")}
    job.update(samples=str(samples), count=options.ezkl_samples)
    _, said = runner.checked("reference", step_command(options.python, "reference", job), directory)
    sides = [
        Provenn(runner, options, name, directory / "provenn", said["output"]),
        Ezkl(runner, options, name, directory / "ezkl", said["output"], samples),
    ]
    others = Others()
    for run in range(options.runs):
        for stage in STAGES:
            for side in sides:
                if side.record["failure"]:
                    continue
                try:
                    getattr(side, stage)()
                except Failed as failed:
                    side.fail(failed)
                    print(f"  {type(side).__name__}: {failed.stage}: {failed.reason}", file=sys.stderr)
        print(f"{name}: run {run + 1} of {options.runs}", file=sys.stderr)
    shutil.rmtree(directory)
    own = {"name": name, "others": others.share(), "float_output": said["output"]}
    return said["versions"], own | {"provenn": sides[0].record, "ezkl": sides[1].record}


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, not {text}")
    return number


def arguments():
    zoo = sorted(path.parent.name for path in ZOO.glob("*/*.onnx"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=zoo, help=f"models of the zoo [default: {' '.join(zoo)}]")
    parser.add_argument("--provenn", type=Path, help="the command to measure [default: built from this checkout]")
    parser.add_argument("--venv", type=Path, help="virtual environment to make or use again [default: a temporary one]")
    parser.add_argument("--srs", type=Path, help="keep EZKL's reference strings here [default: a temporary directory]")
    parser.add_argument("--work", type=Path, help="for keys and proofs, up to tens of GB [default: a temporary directory]")
    parser.add_argument("--output", type=Path, default=Path("."), help="write RESULT.md and result.json here")
    parser.add_argument("--runs", type=positive, default=3, help="runs of each stage [default: 3]")
    parser.add_argument("--setups", type=positive, default=1, help="runs of EZKL's set-up [default: 1]")
    parser.add_argument("--threads", type=positive, default=len(os.sched_getaffinity(0)), help="[default: all cores]")
    parser.add_argument("--timeout", type=positive, default=1800, help="seconds for one process [default: 1800]")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    parser.add_argument("--memory", type=positive, default=memory, help="GiB for one process [default: the machine's]")
    parser.add_argument("--ezkl-version", default="23.0.5")
    parser.add_argument("--ezkl-samples", type=positive, default=1, help="calibration samples for EZKL [default: 1]")
    options = parser.parse_args()
    for name in options.models:
        if name not in zoo:
            parser.error(f"no model {name} in the zoo: {', '.join(zoo)}")
    if not options.output.is_dir():
        parser.error(f"{options.output} is not a directory")
    return options


def checkout():
    said = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


def command_line():
    """The command without the directories that are only of this machine."""
    hidden = {"--provenn", "--venv", "--srs", "--work", "--output"}
    words, skip = ["python3", "benches/compare/compare.py"], False
    for word in sys.argv[1:]:
        if not skip and word.split("=")[0] not in hidden:
            words.append(word)
        skip = not skip and word in hidden
    return shlex.join(words)


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="compare-", dir=options.work) as directory:
        scratch = Path(directory).resolve()
        options.srs = (options.srs or scratch / "srs").resolve()
        options.srs.mkdir(parents=True, exist_ok=True)
        options.provenn = (options.provenn or build()).resolve()
        options.python = install((options.venv or scratch / "venv").absolute(), options.ezkl_version)
        runner = Runner(options, environment(options.threads, scratch))
        version = subprocess.run([options.provenn, "--version"], check=True, capture_output=True, text=True)
        result = {
            "date": datetime.date.today().isoformat(),
            "command": command_line(),
            "machine": machine(),
            "versions": {"provenn": version.stdout.strip(), "checkout": checkout(), "python": platform.python_version()},
            **{name: getattr(options, name) for name in ["runs", "setups", "threads", "timeout", "ezkl_samples"]},
            "memory_gib": options.memory,
            "floor": runner.floor,
            "models": [],
        }
        for name in options.models:
            versions, row = measure(runner, options, name, scratch)
            result["versions"].update(versions)
            result["models"].append(row)
            write(options.output, result)
        print(markdown(result))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--step":
        worker(sys.argv[2], sys.argv[3])
    else:
        main()
