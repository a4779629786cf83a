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
from figclip.serving.batches.asking import AskingConfig
from figclip.serving.batches.decoding import DecodingConfig
from figclip.serving.batches.towers import BatchConfig
from figclip.serving.deployments import Access, Machines
from figclip.serving.door.door import DoorConfig
from figclip.serving.routes.fetching import FetchConfig
from figclip.serving.routes.limits import Limits
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
    max_replicas: PositiveInt | None = None
    """Of texts, and of images: Serve starts more where calls wait, up to these; unset: none."""
    cpus: PositiveFloat = 0.5
    """CPUs that Ray sets apart for each of them."""
    threads: PositiveInt | None = None
    """Of torch in each; unset: as many as whole CPUs."""
    gpus: NonNegativeFloat = 0
    """GPUs of each; 0 runs them on their CPUs."""
    gateways: PositiveInt = 1
    """Processes that speak HTTP."""
    max_gateways: PositiveInt | None = None
    """Serve starts more where requests are many, up to these; unset: none."""
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
    keys: str | None = None
    """File of keys, made by `python -m serve_apps.keys`; unset: whoever reaches the port may ask,
    and the service refuses to listen beyond this machine."""
    timeout_s: PositiveFloat = DoorConfig().timeout_s
    """A request that takes longer is answered 408."""
    concurrent_requests: PositiveInt = DoorConfig().concurrent_requests
    """That a gateway answers at once; those beyond are answered 429."""
    image_hosts: tuple[str, ...] = ()
    """Hosts whose images are fetched by their URLs: `*.example.org`; unset: none."""

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
            most_replicas=self.max_replicas,
            gateway_replicas=self.gateways,
            most_gateways=self.max_gateways,
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

    def access(self) -> Access:
        return Access(
            keys=None if self.keys is None else str(Path(self.keys).absolute()),
            door=DoorConfig(timeout_s=self.timeout_s, concurrent_requests=self.concurrent_requests),
            fetch=FetchConfig(hosts=self.image_hosts),
            limits=Limits(body_bytes=self.max_body_bytes),
        )

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
