"""PythonAnywhere: the content of the file that the Web page calls "WSGI configuration file". docs/clouds.md

Their uWSGI loads `application` from it. Put your folder's name in; the virtualenv is set on the Web page.
"""

import os
import sys

PROJECT = os.path.expanduser("~/groundwork")

os.chdir(PROJECT)
sys.path.insert(0, PROJECT)
os.environ.setdefault("TRUSTED_PROXIES", "1")  # theirs, in front of every application
os.environ.setdefault("JOBS", "external")  # an "Always-on task" runs: flask --app wsgi worker

from wsgi import app as application  # noqa: E402, F401
