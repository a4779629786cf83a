"""What both services are told: the store, and what they take of the cluster."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt

from figclip.config import UsageError
from figclip.serving.deployments import Machines
from figclip.serving.limits import Limits
from figclip.store import Store


class ServiceArgs(BaseModel):
    """`key=value` words of `serve run`, or `args:` of a Serve config."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    store: str = "./artifacts"
    """A folder, or s3://bucket/prefix. A relative one counts from where the command is run."""
    encoder: str | None = None
    """Version of the encoder. The embeddings service takes any other model as well: a folder of
    open_clip's or of transformers' CLIP (`./FOLDER`), or its name on the hub (`OWNER/NAME`)."""
    replicas: PositiveInt = 1
    """Encoders that share the load."""
    cpus: PositiveFloat = 1
    """CPUs of each encoder."""
    gpus: NonNegativeFloat = 0
    """GPUs of each encoder; 0 runs it on its CPUs."""
    gateways: PositiveInt = 1
    """Processes that speak HTTP."""
    gateway_cpus: PositiveFloat = 0.5
    """CPUs of each gateway."""
    max_batch_size: PositiveInt = 32
    """Texts, or images, that an encoder embeds at once."""
    batch_wait_s: NonNegativeFloat = 0.005
    """How long the first of a batch waits for others."""
    max_queued_requests: PositiveInt = 512
    """Requests that wait for an encoder; those beyond are answered 429."""
    max_body_bytes: PositiveInt = Limits().body_bytes
    """Of a request."""

    def opened_store(self) -> Store:
        """The store by an absolute name, which replicas elsewhere understand as well."""
        return Store(self.store if "://" in self.store else Path(self.store).absolute())

    def machines(self) -> Machines:
        return Machines(
            encoder_replicas=self.replicas,
            encoder_cpus=self.cpus,
            encoder_gpus=self.gpus,
            gateway_replicas=self.gateways,
            gateway_cpus=self.gateway_cpus,
            max_batch_size=self.max_batch_size,
            batch_wait_s=self.batch_wait_s,
            max_queued_requests=self.max_queued_requests,
        )

    def limits(self) -> Limits:
        return Limits(body_bytes=self.max_body_bytes)


def newest_version(store: Store, name: str, *, job: str) -> str:
    """The version of `name` that was published last; `UsageError` where there is none."""
    versions = store.versions(name)
    if not versions:
        raise UsageError(
            f"no {name} is published in {store.url}: publish one with `python -m jobs.{job}`, or "
            f"name the store that has one: store=PATH"
        )
    return versions[-1]
