"""The encryption that Apache offers, by the same judgement as nginx'."""

from tests.deploy.nginx.test_tls import (  # noqa: F401
    scan,
    test_every_cipher_is_authenticated_and_has_forward_secrecy,
    test_only_tls_1_2_and_1_3_are_spoken,
    test_the_default_server_speaks_no_old_tls_either,
)
