"""An object store on this machine that speaks S3, for tests of tables that lie in one."""

import contextlib
import logging
import urllib.request

BUCKET = "tables"


@contextlib.contextmanager
def object_store(monkeypatch):
    """Start one with an empty bucket, and let this process and its children know it.

    Yields:
        The filesystem, as fsspec has it.
    """
    # Only here: workers that run other tests do without both.
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    # What it holds is the process's, whichever server is asked.
    reset = urllib.request.Request(f"{address}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    settings = {
        "AWS_ENDPOINT_URL": address,
        # Sail's own: it would speak https alone.
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    # Instances are kept by their arguments, whatever the environment says.
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        store = s3fs.S3FileSystem()
        store.mkdir(BUCKET)
        yield store
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()
