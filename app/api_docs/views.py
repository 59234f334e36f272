from flask import Blueprint, current_app, json, render_template, request
from werkzeug.wrappers import Response

from app.api_docs.document import openapi

blueprint = Blueprint("api_docs", __name__, template_folder="templates")


@blueprint.get("/v1/openapi.json")
def document() -> Response:
    response = Response(json.dumps(openapi(current_app)), mimetype="application/json")
    response.add_etag()
    return response.make_conditional(request)


@blueprint.get("/docs")
def index() -> str:
    return render_template("api_docs/index.html", api=openapi(current_app))
