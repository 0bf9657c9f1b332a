"""The plotting library of the report, as one script; see README.md for why it is this one."""

from benchmark.files import cache_folder, replacing

VEGA_LITE = "6.4"


def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed, which vl-convert-python brings, as a script without imports.

    Bundling takes seconds, so the script is kept in the user's cache.
    """
    import vl_convert

    name = f"vega-{vl_convert.__version__}-{VEGA_LITE}.js"
    kept = cache_folder() / "scripts" / name
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    script = vl_convert.javascript_bundle(vl_version=VEGA_LITE)
    try:
        with replacing(kept) as temporary:
            temporary.write_text(script, encoding="utf-8")
    except OSError:
        # What cannot be kept is bundled again.
        return script
    return script
