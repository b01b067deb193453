"""The commands that bring a model elsewhere: export, verify, serve and push."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zoo.cli.options import DeviceOption, JsonOption, NameArgument, NamesArgument
from zoo.cli.terminal import as_argument, quiet_tensorflow
from zoo.errors import ZooError

if TYPE_CHECKING:
    import numpy as np


app = typer.Typer()


@app.command()
def export(
    names: NamesArgument,
    format_: Annotated[Literal["onnx", "savedmodel"], typer.Option("--format", help="what to write")] = "onnx",
    opset: Annotated[int, typer.Option(help="9 to 18; 11 for old runtimes")] = 13,
    target: Annotated[
        str | None,
        typer.Option(help="where the graphs are to run, and are checked for: cmssw, athena, triton, hls4ml, web"),
    ] = None,
    endpoint: Annotated[list[str] | None, typer.Option(help="only this function of the model; repeatable")] = None,
    precision: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="of large matrices; inputs and outputs stay float32, differences are in the card"),
    ] = "float32",
    explain: Annotated[
        bool, typer.Option("--explain", help="add the endpoint explain: the answer and its gradient with respect to the input")
    ] = False,
    repository: Annotated[
        Path | None,
        typer.Option(help="model repository of Triton, KServe and zoo serve, to add the models to"),
    ] = None,
    storage_uri: Annotated[
        str | None,
        typer.Option(help="where KServe finds the repository, e.g. s3://bucket/models"),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="rows for --precision int8, of any format that zoo finetune reads; default: its own")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="folder to be made; default: one in exports/ for each model")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing folder, or an existing version")] = False,
) -> None:
    """Export models, each endpoint compared with the model on 1,000 rows; or add them to a model repository."""
    if storage_uri is not None and repository is None:
        raise ZooError("--storage-uri goes with --repository")
    if data is not None and precision != "int8":
        raise ZooError("--data goes with --precision int8, whose ranges are those of typical rows")
    if folder is not None and len(names) > 1:
        raise ZooError(
            f"--folder is the folder of one model, given {len(names)}: leave it out, and each gets its own in exports/"
        )
    if repository is not None:
        if format_ != "onnx" or folder is not None or target not in (None, "triton"):
            raise ZooError("--repository takes neither --format, --folder nor a --target other than triton")
        if precision != "float32":
            raise ZooError("--repository takes no --precision: export the model first, then add the folder that it is in")
        if explain:
            raise ZooError(
                "--repository takes no --explain: zoo export NAME --explain --folder DIR first, then export that folder"
            )
        for name in names:
            _add_to_repository(name, repository, endpoint, opset, storage_uri, overwrite)
        return
    settings = {
        "format": format_,
        "opset": opset,
        "target": target,
        "endpoints": endpoint,
        "precision": precision,
        "explain": explain,
        "overwrite": overwrite,
    }
    with quiet_tensorflow():
        for name in names:
            _export_to(folder, name, data, settings)


def _export_to(folder: Path | None, name: str, data: Path | None, settings: dict[str, Any]) -> None:
    """Export one model, by default to a folder in exports/ that is named after it and after what is not usual."""
    from zoo.cli.tables import parity_table
    from zoo.cli.terminal import show as print_table
    from zoo.export import export as run
    from zoo.loading import load

    model, form, precision = load(name), settings["format"], settings["precision"]
    reduced = None if precision == "float32" else precision
    made = folder or Path("exports") / "-".join(filter(None, (model.spec.name, settings["target"] or form, reduced)))
    report = run(model, made, calibration=_calibration(model, data) if precision == "int8" else None, **settings)
    print_table(parity_table(report))
    if report.note:
        print(report.note)
    taken = ", which zoo predict, verify and serve take as " + as_argument(made) if form == "onnx" else ""
    print(f"wrote {made}{taken}")


def _calibration(model: Any, data: Path | None) -> Mapping[str, np.ndarray] | None:
    """Validation rows for int8; None, which is said, where the model's own would have to be simulated first."""
    from zoo.workflows.rows import MissingSimulationsError, own_rows

    try:
        (rows,) = own_rows(model, "validation", data=data, simulate=False)
    except MissingSimulationsError as error:
        print(f"{model.spec.name}: int8 is calibrated on the test tensors: {error}", file=sys.stderr)
        return None
    return rows.inputs


def _add_to_repository(
    name: str, repository: Path, endpoints: list[str] | None, opset: int, storage_uri: str | None, overwrite: bool
) -> None:
    from zoo.export.repository import add_to_repository, needs_conversion
    from zoo.serving.placement import instance_kind

    with quiet_tensorflow() if needs_conversion(name, endpoints, opset) else nullcontext():
        added = add_to_repository(
            name,
            repository,
            endpoints=endpoints,
            opset=opset,
            storage_uri=storage_uri,
            overwrite=overwrite,
            instance_kind=instance_kind,
        )
    for version in added:
        print(f"added {version.model} version {version.version} (revision {version.revision}) to {repository}")


@app.command()
def verify(path: NameArgument, device: DeviceOption = "auto", as_json: JsonOption = False) -> None:
    """Check an ONNX folder against its sha256s and test tensors, without TensorFlow, on each device that would run it."""
    from zoo.serving.verify import verify as run

    report = run(path, device=device)
    if as_json:
        print(json.dumps({**report.model_dump(mode="json"), "ok": report.ok}, indent=1))
    else:
        from zoo.cli.tables import verify_table
        from zoo.cli.terminal import show as print_table

        print_table(verify_table(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def serve(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="names, model folders or folders of models; default: every model that zoo list shows"),
    ] = None,
    host: Annotated[str, typer.Option(help="address to bind to")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port of REST", min=0, max=65535)] = 8000,
    grpc_port: Annotated[int | None, typer.Option(help="port of gRPC; none unless given", min=0, max=65535)] = None,
    uds: Annotated[Path | None, typer.Option(help="a Unix socket for REST, in place of its port")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of a certificate: REST and gRPC are encrypted", exists=True, dir_okay=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file of its key, where --tls-cert holds none", exists=True, dir_okay=False)
    ] = None,
    forwarded_allow_ips: Annotated[
        str, typer.Option(help="proxies whose X-Forwarded-For is believed: addresses, networks, or * for all")
    ] = "",
    model_control: Annotated[
        Literal["none", "poll", "explicit"], typer.Option(help="as Triton's: load at start, follow the folder, or clients")
    ] = "none",
    poll: Annotated[float, typer.Option(help="seconds between looks at it, with --model-control poll", min=0.01)] = 15.0,
    max_batch: Annotated[int, typer.Option(help="rows up to which requests are joined", min=1)] = 256,
    max_delay: Annotated[float, typer.Option(help="milliseconds a busy model waits to fill a batch", min=0)] = 0.0,
    max_queue: Annotated[int, typer.Option(help="requests that may wait for a model; one more is refused", min=1)] = 1024,
    timeout: Annotated[float, typer.Option(help="seconds for a request that sets none", min=0)] = 60.0,
    max_body: Annotated[int, typer.Option(help="largest request in bytes", min=1)] = 64 * 2**20,
    device: DeviceOption = "auto",
    workers: Annotated[int | None, typer.Option(help="threads on the CPU; default: one a core", min=1)] = None,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="a line of JSON a request on standard error")] = False,
) -> None:
    """Serve models over the Open Inference Protocol V2: REST, and gRPC on a port of its own."""
    from zoo.serving.batching import Policy
    from zoo.serving.limits import Limits
    from zoo.serving.server import Settings
    from zoo.serving.server import serve as run

    settings = Settings(
        policy=Policy(max_batch=max_batch, max_delay=max_delay / 1e3, max_queue=max_queue),
        limits=Limits(body=max_body),
        control=model_control,
        poll=poll,
        timeout=timeout or None,
        device=device,
        workers=workers,
        log_requests=log_requests,
        tls_cert=tls_cert,
        tls_key=tls_key,
        forwarded_allow_ips=forwarded_allow_ips,
    )
    run(names or [], host=host, port=port, grpc_port=grpc_port, uds=uds, settings=settings)


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="of a model, as zoo finetune writes it")],
    address: Annotated[str, typer.Argument(help="hf://owner/name")],
    private: Annotated[bool, typer.Option("--private", help="a new repository that only its owner sees")] = False,
) -> None:
    """Upload a model to the Hugging Face Hub, from where its address loads it."""
    from zoo.workflows.push import push as run

    print(f"pushed {folder}: zoo.load({run(folder, address, private=private)!r})")
