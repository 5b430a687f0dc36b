"""A web page and a JSON API on one open model. The extra `serve` brings Starlette, uvicorn and Jinja2."""
