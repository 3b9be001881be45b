"""What Postfix and Sendmail have in common as a test sees them."""


class Mta:
    """A mail server of the test's own. `ports` says where it listens, by what each port is for."""

    def __init__(self, milter_port):
        self.milter_port = milter_port
        self.ports = {}
        self.process = None

    @property
    def port(self):
        return self.ports["main"]

    @property
    def port2(self):
        return self.ports["second"]

    @property
    def port_tempfail(self):
        return self.ports["tempfail"]

    @property
    def port_ipv6(self):
        return self.ports["main"]
