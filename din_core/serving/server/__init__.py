"""A small web server around a bundle: `din serve`.

It ranks (``POST /rank``) and speaks the Open Inference Protocol (``/v2``). It holds no model code:
everything comes from the bundle's files. It needs the extra ``[serve]``.
"""
