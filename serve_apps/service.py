"""What both services are told: the store, and what they take of the cluster."""

from pathlib import Path

from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from figclip.config import UsageError
from figclip.embedding.ways import Backend
from figclip.serving.asking import AskingConfig
from figclip.serving.decoding import DecodingConfig
from figclip.serving.deployments import Machines
from figclip.serving.limits import Limits
from figclip.serving.towers import BatchConfig
from figclip.store import Store


class ServiceArgs(BaseModel):
    """`key=value` words of `serve run`, or `args:` of a Serve config."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    store: str = "./artifacts"
    """A folder, or s3://bucket/prefix. A relative one counts from where the command is run."""
    encoder: str | None = None
    """Version of the encoder. The embeddings service takes any other model as well: a folder of
    open_clip's or of transformers' CLIP (`./FOLDER`), or its name on the hub (`OWNER/NAME`)."""
    backend: Backend = "fp32"
    """How the model runs: `plain` torch; on CPUs `fp32` and `bf16` by oneDNN's packed weights (bf16
    is the fastest where the CPU multiplies it), `compile` by torch.compile, `onnx` by ONNX Runtime.
    Refused where its vectors are not those of the plain model."""
    replicas: PositiveInt = 1
    """Processes that embed texts; the same number embeds images."""
    text_replicas: PositiveInt | None = None
    """Instead of `replicas`."""
    image_replicas: PositiveInt | None = None
    """Instead of `replicas`."""
    cpus: PositiveFloat = 1
    """CPUs that Ray sets apart for each of them."""
    threads: PositiveInt | None = None
    """Of torch in each; unset: as many as whole CPUs."""
    gpus: NonNegativeFloat = 0
    """GPUs of each; 0 runs them on their CPUs."""
    gateways: PositiveInt = 1
    """Processes that speak HTTP."""
    gateway_cpus: PositiveFloat = 0.5
    """CPUs of each gateway."""
    max_batch_tokens: PositiveInt = BatchConfig().tokens
    """Of the texts that a model embeds at once."""
    max_batch_images: PositiveInt = BatchConfig().images
    """That a model embeds at once."""
    decoders: PositiveInt = DecodingConfig().processes
    """Processes beside each image replica that decode pictures, and may be killed by them."""
    decode_timeout_s: PositiveFloat = DecodingConfig().timeout_s
    """Of one picture."""
    calls_under_way: PositiveInt = AskingConfig().calls_under_way
    """That a gateway makes to each replica at once."""
    max_queued_items: PositiveInt = AskingConfig().queued_items
    """Texts, and images, that wait in each gateway; those beyond are answered 429."""
    max_wait_s: PositiveFloat = AskingConfig().max_wait_s
    """After so long an item is not computed any more."""
    cache_mb: NonNegativeInt = AskingConfig().cache_bytes // 2**20
    """Of vectors that each gateway keeps for what was asked before; 0: none."""
    share: bool = AskingConfig().is_shared
    """Compute equal items that are asked at the same time once."""
    max_body_bytes: PositiveInt = Limits().body_bytes
    """Of a request."""

    def opened_store(self) -> Store:
        """The store by an absolute name, which replicas elsewhere understand as well."""
        return Store(self.store if "://" in self.store else Path(self.store).absolute())

    def machines(self) -> Machines:
        return Machines(
            text_replicas=self.text_replicas or self.replicas,
            image_replicas=self.image_replicas or self.replicas,
            cpus=self.cpus,
            threads=self.threads or max(1, int(self.cpus)),
            gpus=self.gpus,
            gateway_replicas=self.gateways,
            gateway_cpus=self.gateway_cpus,
            batches=BatchConfig(tokens=self.max_batch_tokens, images=self.max_batch_images),
            decoding=DecodingConfig(processes=self.decoders, timeout_s=self.decode_timeout_s),
            asking=AskingConfig(
                calls_under_way=self.calls_under_way,
                queued_items=self.max_queued_items,
                max_wait_s=self.max_wait_s,
                cache_bytes=self.cache_mb * 2**20,
                is_shared=self.share,
            ),
        )

    def limits(self) -> Limits:
        return Limits(body_bytes=self.max_body_bytes)

    def usual_backend(self) -> Backend:
        """A GPU has no use for what is done for CPUs, unless it is asked for by name."""
        is_unsaid = "backend" not in self.model_fields_set
        return "plain" if self.gpus > 0 and is_unsaid else self.backend


def newest_version(store: Store, name: str, *, job: str) -> str:
    """The version of `name` that was published last; `UsageError` where there is none."""
    versions = store.versions(name)
    if not versions:
        raise UsageError(
            f"no {name} is published in {store.url}: publish one with `python -m jobs.{job}`, or "
            f"name the store that has one: store=PATH"
        )
    return versions[-1]
