#!/bin/sh
# quickstart.sh: tidegate at work, on a fresh Debian 12, in one command:
#
#     sh contrib/quickstart.sh          shows it, then leaves it running until Ctrl-C for you to try
#     sh contrib/quickstart.sh --once   shows it and ends; status 0 when the client really read the 421 line
#
# Installs with apt what is missing, builds in a temporary folder, starts tidegated beside a Postfix of its own on a
# free loopback port, opens sessions past the caps and shows what the clients read and what the daemon logs. Needs root,
# for apt and because Postfix starts as root. The machine's own mail system is not touched: where Postfix has to be
# installed it is neither configured nor started, and where that would remove another MTA nothing is done at all. Mail
# that you send through the Postfix of this demonstration is thrown away. All but the packages is gone at the end.
set -eu

PACKAGES='gcc libc6-dev make autoconf automake pkg-config libmilter-dev libevent-dev libjansson-dev libcurl4-openssl-dev
libconfuse-dev libidn2-dev libpsl-dev perl'
GUARD=/usr/sbin/policy-rc.d

top=$(cd "$(dirname "$0")/.." && pwd)
once=no
scratch=
guarded=no
gate=
tail=
postfix_started=no
port=

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

# Ends what was started here, by process id, and removes what was written here. Runs once, however the script ends.
cleanup() {
    status=$?
    trap - EXIT
    trap '' HUP INT TERM
    if [ -n "$tail" ]; then
        kill "$tail" 2>/dev/null || true
        wait "$tail" 2>/dev/null || true
    fi
    if [ "$postfix_started" = yes ]; then
        stop_postfix
    fi
    if [ -n "$gate" ]; then
        kill -TERM "$gate" 2>/dev/null || true
        wait "$gate" 2>/dev/null || true
    fi
    if [ "$guarded" = yes ]; then
        rm -f "$GUARD"
    fi
    if [ -n "$scratch" ]; then
        rm -rf "$scratch"
    fi
    exit "$status"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    wait_end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        if [ "$(date +%s)" -gt "$wait_end" ]; then
            return 1
        fi
        sleep 0.05
    done
}

# ---- packages ----

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs quietly; what apt says is shown when it fails. Never removes a package.
apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-remove -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=600 "$@" >"$scratch/apt.log" 2>&1 </dev/null ||
        { cat "$scratch/apt.log" >&2; die "apt-get could not install: $*"; }
}

# Postfix comes without a configuration, so the package's own service has nothing to run; and for the time of its
# installation no package may start a service.
install_postfix() {
    removed=$(apt-get -s install --no-install-recommends postfix </dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p')
    if [ -n "$removed" ]; then
        die "installing postfix would remove $(echo "$removed" | tr '\n' ' ')- this machine has another mail system, \
which stays as it is. Run this in a container or a virtual machine instead, for example: docker run -it --rm -v \
\"$top\":/tidegate debian:12 sh /tidegate/contrib/quickstart.sh"
    fi
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
    if [ ! -e "$GUARD" ]; then
        guarded=yes
        printf '#!/bin/sh\nexit 101\n' >"$GUARD"
        chmod 755 "$GUARD"
    fi
    apt_install postfix
    if [ "$guarded" = yes ]; then
        rm -f "$GUARD"
        guarded=no
    fi
}

# A second copy of this script waits here until the first has installed everything.
install_packages() {
    exec 9</etc/debian_version
    flock 9
    install_missing
    exec 9<&-
}

install_missing() {
    missing=
    for package in $PACKAGES; do
        is_installed "$package" || missing="$missing $package"
    done
    if is_installed postfix && [ -z "$missing" ]; then
        return
    fi
    say "Installing what is missing:$missing$(is_installed postfix || echo ' postfix')"
    apt-get update -q >"$scratch/apt.log" 2>&1 </dev/null ||
        { cat "$scratch/apt.log" >&2; die "apt-get update failed"; }
    is_installed postfix || install_postfix
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || apt_install $missing
}

# ---- the build ----

# From a copy: nothing is written into the source folder, so that neither another build there nor another copy of this
# script gets in the way.
build() {
    say "Building tidegated and tidegate (in $scratch)"
    mkdir "$scratch/source" "$scratch/build"
    (cd "$top" && tar -cf - --exclude=./.git --exclude=./autom4te.cache --exclude=./config.status \
        --exclude=./config.log --exclude=./build-config.h --exclude=./stamp-h1 --exclude=./Makefile --exclude=.deps \
        --exclude='*.o' --exclude='*.a' --exclude='*.tar.*' .) | (cd "$scratch/source" && tar -xf -)
    {
        (cd "$scratch/source" && autoreconf -fi) &&
            (cd "$scratch/build" && ../source/configure && make -j "$(nproc)" tidegated tidegate)
    } >"$scratch/build.log" 2>&1 </dev/null || { cat "$scratch/build.log" >&2; die "the build failed"; }
}

# ---- tidegated ----

write_gate_conf() {
    cat >"$scratch/tidegate.conf" <<CONF
service_sessions = 5                  # all clients together
limit client_sessions { max = 3 }     # one client
log_refusals = yes                    # for the show; without it a line for each crossing
session_table_size = 1000
milter { socket = "unix:$scratch/gate.sock"  group = "postfix"  mode = "0660" }
control { socket = "$scratch/control.sock" }     # for the tool tidegate
pid_file = "$scratch/tidegated.pid"
CONF
}

# Nobody is in: the daemon has noticed the end of every session so far.
gate_empty() {
    kill -USR2 "$gate" && sleep 0.1 && grep 'event=counters' "$scratch/gate.log" | tail -n 1 | grep -q ' sessions=0 '
}

gate_ready() {
    grep -q 'event=ready' "$scratch/gate.log" || ! kill -0 "$gate" 2>/dev/null
}

start_gate() {
    say "Starting tidegated with this configuration"
    write_gate_conf
    sed 's/^/    /' "$scratch/tidegate.conf"
    # In a session of its own, where a Ctrl-C is not its business: it is stopped last, by cleanup.
    setsid "$scratch/build/tidegated" -f -c "$scratch/tidegate.conf" 2>"$scratch/gate.log" </dev/null &
    gate=$!
    wait_for 60 gate_ready || die "tidegated did not start"
    kill -0 "$gate" 2>/dev/null || { cat "$scratch/gate.log" >&2; die "tidegated did not start"; }
}

# ---- Postfix ----

free_port() {
    perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die "$!\n";
        print $s->sockport, "\n"'
}

write_postfix_conf() {
    mkdir -p "$scratch/postfix" "$scratch/spool"
    install -d -o postfix "$scratch/data"
    cat >"$scratch/postfix/main.cf" <<CONF
compatibility_level = 3.6
multi_instance_name = postfix-quickstart
queue_directory = $scratch/spool
data_directory = $scratch/data
maillog_file = $scratch/maillog
maillog_file_prefixes = $scratch
myhostname = mx$port.test.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
mynetworks = 127.0.0.0/8
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
default_transport = discard:
relay_transport = discard:
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_milters = unix:$scratch/gate.sock
milter_default_action = accept
CONF
    cat >"$scratch/postfix/master.cf" <<CONF
127.0.0.1:$port inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
CONF
}

# The greeting tells it from whatever else may have taken the port in between.
greets() {
    perl -MIO::Socket::INET -e 'my ($port) = @ARGV;
        my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Timeout => 5) or exit 1;
        $SIG{ALRM} = sub { exit 1 };
        alarm 5;
        exit(<$s> !~ /^220 mx$port\.test\.example /);' "$port"
}

start_postfix() {
    say "Starting a Postfix of our own"
    for attempt in 1 2 3 4 5; do
        port=$(free_port)
        write_postfix_conf
        postfix_started=yes
        if postfix -c "$scratch/postfix" start >"$scratch/postfix.log" 2>&1 </dev/null && wait_for 20 greets; then
            echo "it listens on 127.0.0.1, port $port"
            return
        fi
        stop_postfix
        echo "port $port: no luck (attempt $attempt)"
    done
    cat "$scratch/postfix.log" "$scratch/maillog" >&2 || true
    die "Postfix did not start"
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

stop_postfix() {
    master=$(tr -d ' ' <"$scratch/spool/pid/master.pid" 2>/dev/null || true)
    postfix -c "$scratch/postfix" abort >/dev/null 2>&1 </dev/null || true
    if [ -n "$master" ]; then
        wait_for 30 is_gone "$master" || kill -KILL "$master" 2>/dev/null || true
    fi
    postfix_started=no
}

# ---- the show ----

# Speaks SMTP from several addresses, prints both sides, and ends with 0 when all came as it should.
write_client() {
    cat >"$scratch/client.pl" <<'PERL'
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $tool, $conf) = @ARGV;
my $refusal = '421 4.4.5 Service unavailable, concurrency limit reached.';
my $wrong = 0;
my %sessions; # from each address so far

$| = 1;
$SIG{ALRM} = sub { print "no answer for 60 seconds\n"; exit 1 };

sub connect_from {
    my ($address) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => $address, PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => 60) or die "cannot connect from $address: $!\n";
    return {name => "$address no. " . ++$sessions{$address}, socket => $socket};
}

# One reply of the server, all its lines; empty when it has closed the connection.
sub reply {
    my ($client) = @_;
    my @lines;
    alarm 60;
    while (defined(my $line = readline $client->{socket})) {
        $line =~ s/\r?\n\z//;
        push @lines, $line;
        last if $line !~ /^\d{3}-/;
    }
    alarm 0;
    return @lines;
}

# Prints the reply; of a long one only its first line.
sub show {
    my ($client, @lines) = @_;
    my $more = @lines > 1 ? '   (and ' . (@lines - 1) . ' more lines)' : '';
    printf "    %-15s  <  %s%s\n", $client->{name}, @lines ? $lines[0] : '(connection closed)', $more;
}

sub say_to {
    my ($client, $command) = @_;
    printf "    %-15s  >  %s\n", $client->{name}, $command;
    print {$client->{socket}} "$command\r\n";
}

# Connects from that address and says EHLO. Whether it is let in must be as foreseen.
sub come {
    my ($address, $admitted) = @_;
    my $client = connect_from($address);
    show($client, reply($client));
    say_to($client, 'EHLO client.test.example');
    my @answer = reply($client);
    show($client, @answer);
    if ($admitted) {
        $wrong++ unless @answer && $answer[-1] =~ /^250 /;
        return $client;
    }
    $wrong++ unless @answer == 1 && $answer[0] eq $refusal;
    my @end = reply($client);
    show($client, @end);
    $wrong++ if @end;
    return undef;
}

sub leave {
    my ($client) = @_;
    say_to($client, 'QUIT');
    show($client, reply($client));
}

# What tidegate answers. It is told on the side: the show does not fail by it.
sub ask {
    print "\n    \$ tidegate @_\n";
    open my $answer, '-|', $tool, '-c', $conf, @_ or return;
    print "    $_" while <$answer>;
    close $answer;
}

print "\nOne client may have 3 sessions. The fourth is refused:\n";
my @open = map { come('127.0.0.2', 1) } 1 .. 3;
come('127.0.0.2', 0);
print "\nAll clients together may have 5. The sixth is refused, whoever it is:\n";
push @open, map { come('127.0.0.3', 1) } 1 .. 2;
come('127.0.0.4', 0);
print "\nWhat an administrator sees meanwhile:\n";
ask('status');
ask('explain', '127.0.0.2');
print "\nOne session ends, and its place is free:\n";
leave(shift @open);
# The server answers QUIT before it tells the filter, so the first attempt may still come too early: it is not shown.
my $begin = time;
while (1) {
    $sessions{'127.0.0.4'} = 1;
    my $client = connect_from('127.0.0.4');
    my @greeting = reply($client);
    print {$client->{socket}} "EHLO client.test.example\r\n";
    my @answer = reply($client);
    if (@answer && $answer[-1] =~ /^250 /) {
        show($client, @greeting);
        printf "    %-15s  >  EHLO client.test.example\n", $client->{name};
        show($client, @answer);
        push @open, $client;
        last;
    }
    if (time - $begin > 30) {
        print "    (no place came free in 30 seconds)\n";
        $wrong++;
        last;
    }
    select undef, undef, undef, 0.05;
}
print "\nAll of them leave:\n";
leave($_) for @open;
exit($wrong ? 1 : 0);
PERL
}

show() {
    say "What the clients say (>) and read (<)"
    write_client
    wait_for 60 gate_empty || die "tidegated does not answer"
    shown=0
    perl "$scratch/client.pl" "$port" "$scratch/build/tidegate" "$scratch/tidegate.conf" || shown=$?
    say "What tidegated logged"
    sed -e '/event=counters/d' -e '/event=user/d' -e 's/^/    /' "$scratch/gate.log"
    [ "$shown" -eq 0 ] || die "that is not what should have been read; Postfix says: $(cat "$scratch/maillog")"
}

leave_running() {
    say "Now you"
    cat <<TEXT
Postfix goes on listening on 127.0.0.1, port $port, with tidegated beside it. From another terminal, for example:

    nc 127.0.0.1 $port           and type: EHLO me   (in four terminals: the fourth is refused)
    swaks --server 127.0.0.1:$port --from me@test.example --to you@test.example

From another one ask what becomes of them, and why:

    T="$scratch/build/tidegate -c $scratch/tidegate.conf"
    \$T status; \$T explain 127.0.0.1; \$T top

What tidegated logs follows. Its configuration is $scratch/tidegate.conf; after a change:  \$T reload
Ctrl-C ends and removes all of it.

TEXT
    tail -n 0 -f "$scratch/gate.log" &
    tail=$!
    wait "$gate" || true
    gate=
    die "tidegated has ended"
}

case ${1-} in
'') ;;
--once) once=yes ;;
*)
    echo 'usage: sh contrib/quickstart.sh [--once]' >&2
    exit 2
    ;;
esac
[ "$(id -u)" -eq 0 ] || die "this must run as root: apt and Postfix need it"
command -v apt-get >/dev/null || die "this is for Debian and its kin: there is no apt-get here"

trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-quickstart.XXXXXX")
chmod 755 "$scratch" # Postfix looks for the milter's socket in it as a user of its own

install_packages
build
start_gate
start_postfix
show
if [ "$once" = no ]; then
    leave_running
fi
