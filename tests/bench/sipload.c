/* SIP load on one thread: the caller, or the phone that registers, on one UDP socket and the answering end on another.
 *
 *   sipload -t PORT [-m call|register] [-r PER_SECOND | -w WINDOW] [-d SECONDS] [-W WARM_UP] [-c CALLER_PORT]
 *           [-o] [-s ANSWER_PORT] [-n NUMBER] [-u FIRST_USER] [-U USERS] [-a PASSWORD] [-D DOMAIN] -p PID,PID...
 *
 * A call is INVITE, 180, 200, ACK, BYE, 200. With a password a REGISTER is sent twice: the 401 and its answer.
 * With -o the server may refuse calls by 503: these are acknowledged and counted, those without Retry-After apart.
 * Nothing is ever sent again: what got lost shows as a failed call and the run is void. One JSON line at the end;
 * the figures cover the time after the warm-up, `server_cpu_s` is the CPU time that the server's processes used in it.
 */
#define _GNU_SOURCE
#include "schedstat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOTS 65536
#define BATCH 64
#define LONGEST 4096
#define LOST_AFTER_S 2.0
#define BINS 4000            /* of 50 us: latencies up to 200 ms */

enum state { IDLE, ASKED, CONFIRMED };

struct attempt { double begun; uint32_t turn; enum state state; };

struct port {                /* a socket with the datagrams that wait to be sent together */
    int fd, waiting;
    uint64_t sent, received;
    struct mmsghdr out[BATCH], in[BATCH];
    struct iovec out_part[BATCH], in_part[BATCH];
    struct sockaddr_in to[BATCH], from[BATCH];
    char out_text[BATCH][LONGEST], in_text[BATCH][LONGEST];
};

struct digest_challenge { char realm[128], nonce[256], opaque[128]; int qop; };

static struct options {
    int target, caller, answer, calls, window, first_user, users, overload;
    double rate, seconds, warm_up;
    const char *number, *password, *domain;
} opt = {0, 15080, 15090, 1, 32, 1000, 1000, 0, 0, 4, 1, "9000", NULL, "127.0.0.1"};

static struct attempt attempts[SLOTS];
static int idle[SLOTS], idle_count;
static struct port caller, answer;
static struct sockaddr_in target;
static uint64_t started, done, failed, unexpected, repeated, refused, bare;
static uint64_t latency[BINS], latencies;
static int run_id;
static char sdp[512];

/* ---- datagrams ---- */

static void port_open(struct port *port, int number) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(number), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int size = 8 << 20;
    port->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (setsockopt(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(port->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(port->fd, (struct sockaddr *)&own, sizeof own)) { perror("bind"); exit(2); }
    for (int i = 0; i < BATCH; i++) {
        port->out_part[i].iov_base = port->out_text[i];
        port->in_part[i] = (struct iovec){port->in_text[i], LONGEST - 1};
        port->out[i].msg_hdr = (struct msghdr){&port->to[i], sizeof port->to[i], &port->out_part[i], 1, 0, 0, 0};
        port->in[i].msg_hdr = (struct msghdr){&port->from[i], sizeof port->from[i], &port->in_part[i], 1, 0, 0, 0};
    }
}

static void port_flush(struct port *port) {
    int gone = 0;
    while (gone < port->waiting) {
        int n = sendmmsg(port->fd, port->out + gone, port->waiting - gone, 0);
        if (n > 0) gone += n;
        else if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) { perror("sendmmsg"); exit(2); }
    }
    port->sent += gone;
    port->waiting = 0;
}

/* room for one message; write it, then port_queue its length */
static char *port_room(struct port *port) {
    if (port->waiting == BATCH) port_flush(port);
    return port->out_text[port->waiting];
}

static void port_queue(struct port *port, size_t length, const struct sockaddr_in *to) {
    port->out_part[port->waiting].iov_len = length;
    port->to[port->waiting++] = *to;
}

/* ---- reading messages ---- */

/* first header of that name at or after `from`: its value, and the length of the value without CRLF */
static char *header(char *from, const char *name, int *length) {
    size_t n = strlen(name);
    for (char *line = strstr(from, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (*line == '\r') return NULL;
        if (strncasecmp(line, name, n) || line[n] != ':') continue;
        char *value = line + n + 1, *end = strstr(value, "\r\n");
        while (*value == ' ') value++;
        *length = end - value;
        return value;
    }
    return NULL;
}

/* Route headers for requests in the dialog: the Record-Route values in reverse (RFC 3261 12.1.2) */
static int write_routes(char *out, char *message) {
    char *value[16], *at = message;
    int length[16], count = 0, size;
    while (count < 16 && (at = header(at, "Record-Route", &size))) {
        char *end = at + size;
        for (char *begin = at; begin < end && count < 16;) {
            char *stop = memchr(begin, '>', end - begin), *comma = stop ? memchr(stop, ',', end - stop) : NULL;
            value[count] = begin;
            length[count++] = (comma ? comma : end) - begin;
            begin = comma ? comma + 1 : end;
        }
        at = end;
    }
    char *start = out;
    while (count--) out += sprintf(out, "Route: %.*s\r\n", length[count], value[count]);
    return out - start;
}

/* a parameter of a challenge, quoted or not */
static void parameter(const char *text, int length, const char *name, char *out, size_t room) {
    size_t n = strlen(name), used = 0;
    *out = 0;
    for (const char *p = text, *end = text + length; p + n < end; p++) {
        if (strncasecmp(p, name, n) || p[n] != '=' || (p > text && !strchr(" ,", p[-1]))) continue;
        p += n + 1;
        char stop = *p == '"' ? *p++ : ',';
        while (p < end && *p != stop && *p != '\r' && used + 1 < room) out[used++] = *p++;
        out[used] = 0;
        return;
    }
}

/* the first challenge that we can answer: MD5, or no algorithm named */
static int read_challenge(char *message, struct digest_challenge *challenge) {
    int length;
    char algorithm[32], qop[32];
    for (char *at = message; (at = header(at, "WWW-Authenticate", &length)); at += length) {
        parameter(at, length, "algorithm", algorithm, sizeof algorithm);
        if (*algorithm && strcasecmp(algorithm, "MD5")) continue;
        parameter(at, length, "realm", challenge->realm, sizeof challenge->realm);
        parameter(at, length, "nonce", challenge->nonce, sizeof challenge->nonce);
        parameter(at, length, "opaque", challenge->opaque, sizeof challenge->opaque);
        parameter(at, length, "qop", qop, sizeof qop);
        challenge->qop = strstr(qop, "auth") != NULL;
        return 1;
    }
    return 0;
}

/* ---- writing messages ---- */

static void md5_hex(const char *text, char out[33]) {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(text, strlen(text), raw, &size, EVP_md5(), NULL);
    for (int i = 0; i < 16; i++) sprintf(out + 2 * i, "%02x", raw[i]);
}

static int write_credentials(char *out, const struct digest_challenge *c, int user) {
    char text[1024], secret[33], subject[33], response[33], uri[160];
    snprintf(uri, sizeof uri, "sip:%s", opt.domain);
    snprintf(text, sizeof text, "%d:%s:%s", user, c->realm, opt.password);
    md5_hex(text, secret);
    snprintf(text, sizeof text, "REGISTER:%s", uri);
    md5_hex(text, subject);
    snprintf(text, sizeof text, c->qop ? "%s:%s:00000001:6b657973:auth:%s" : "%s:%s:%s", secret, c->nonce, subject);
    md5_hex(text, response);
    char *start = out;
    out += sprintf(out, "Authorization: Digest username=\"%d\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\"",
                   user, c->realm, c->nonce, uri, response);
    if (c->qop) out += sprintf(out, ", qop=auth, nc=00000001, cnonce=\"6b657973\"");
    if (*c->opaque) out += sprintf(out, ", opaque=\"%s\"", c->opaque);
    out += sprintf(out, ", algorithm=MD5\r\n");
    return out - start;
}

/* Via to Call-ID of the caller's requests; `part` tells the transactions of one attempt apart */
static int write_top(char *out, int slot, int part) {
    return sprintf(out,
                   "Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%x-%x-%x-%d;rport\r\n"
                   "Max-Forwards: 70\r\n"
                   "Call-ID: %x-%x-%x@127.0.0.1\r\n",
                   opt.caller, run_id, slot, attempts[slot].turn, part, slot, attempts[slot].turn, run_id);
}

static void send_invite(int slot) {
    char *begin = port_room(&caller), *out = begin;
    out += sprintf(out, "INVITE sip:%s@%s:%d SIP/2.0\r\n", opt.number, opt.domain, opt.target);
    out += write_top(out, slot, 1);
    out += sprintf(out,
                   "From: \"Load\" <sip:load@127.0.0.1:%d>;tag=%x-%x\r\n"
                   "To: <sip:%s@%s:%d>\r\n"
                   "CSeq: 1 INVITE\r\n"
                   "Contact: <sip:load@127.0.0.1:%d>\r\n"
                   "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY\r\n"
                   "Supported: replaces, timer, 100rel\r\n"
                   "User-Agent: sipload\r\n"
                   "Content-Type: application/sdp\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   opt.caller, slot, attempts[slot].turn, opt.number, opt.domain, opt.target, opt.caller, strlen(sdp), sdp);
    port_queue(&caller, out - begin, &target);
}

/* ACK and BYE go to the Contact of the answer, by way of its Record-Route */
static void send_in_dialog(int slot, char *response, const char *method, int cseq) {
    int to_length = 0, contact_length = 0;
    char *to = header(response, "To", &to_length), *contact = header(response, "Contact", &contact_length);
    char *uri = contact ? memchr(contact, '<', contact_length) : NULL;
    char *uri_end = uri ? memchr(uri, '>', contact + contact_length - uri) : NULL;
    if (!to || !uri_end) { unexpected++; return; }
    char *begin = port_room(&caller), *out = begin;
    out += sprintf(out, "%s %.*s SIP/2.0\r\n", method, (int)(uri_end - uri - 1), uri + 1);
    out += write_top(out, slot, cseq + (*method == 'A' ? 10 : 0));
    out += write_routes(out, response);
    out += sprintf(out,
                   "From: \"Load\" <sip:load@127.0.0.1:%d>;tag=%x-%x\r\n"
                   "To: %.*s\r\n"
                   "CSeq: %d %s\r\n"
                   "User-Agent: sipload\r\n"
                   "Content-Length: 0\r\n\r\n",
                   opt.caller, slot, attempts[slot].turn, to_length, to, cseq, method);
    port_queue(&caller, out - begin, &target);
}

/* the ACK to a refusal belongs to the INVITE's transaction: its Via, its URI, the To of the answer */
static void send_refused_ack(int slot, char *response) {
    int to_length = 0;
    char *to = header(response, "To", &to_length);
    if (!to) { unexpected++; return; }
    char *begin = port_room(&caller), *out = begin;
    out += sprintf(out, "ACK sip:%s@%s:%d SIP/2.0\r\n", opt.number, opt.domain, opt.target);
    out += write_top(out, slot, 1);
    out += sprintf(out, "From: \"Load\" <sip:load@127.0.0.1:%d>;tag=%x-%x\r\nTo: %.*s\r\nCSeq: 1 ACK\r\n"
                   "Content-Length: 0\r\n\r\n", opt.caller, slot, attempts[slot].turn, to_length, to);
    port_queue(&caller, out - begin, &target);
}

static void send_register(int slot, const struct digest_challenge *challenge) {
    int user = opt.first_user + (int)((attempts[slot].turn * 2654435761u + slot * 40503u) % opt.users);
    char *begin = port_room(&caller), *out = begin;
    out += sprintf(out, "REGISTER sip:%s SIP/2.0\r\n", opt.domain);
    out += write_top(out, slot, challenge ? 2 : 1);
    out += sprintf(out,
                   "From: <sip:%d@%s>;tag=%x-%x\r\n"
                   "To: <sip:%d@%s>\r\n"
                   "CSeq: %d REGISTER\r\n"
                   "Contact: <sip:%d@127.0.0.1:%d>\r\n"
                   "Expires: 600\r\n",
                   user, opt.domain, slot, attempts[slot].turn, user, opt.domain, challenge ? 2 : 1, user, opt.caller);
    if (challenge) out += write_credentials(out, challenge, user);
    out += sprintf(out, "User-Agent: sipload\r\nContent-Length: 0\r\n\r\n");
    port_queue(&caller, out - begin, &target);
}

static void send_response(char *request, const struct sockaddr_in *to, const char *status, int with_sdp) {
    static const char *const copied[] = {"Via:", "Record-Route:", "From:", "To:", "Call-ID:", "CSeq:"};
    char *begin = port_room(&answer), *out = begin;
    out += sprintf(out, "SIP/2.0 %s\r\n", status);
    for (char *line = strstr(request, "\r\n") + 2; *line != '\r';) {
        char *end = strstr(line, "\r\n");
        if (!end) return;
        for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
            if (strncasecmp(line, copied[i], strlen(copied[i]))) continue;
            out = mempcpy(out, line, end - line);
            if (i == 3 && !memmem(line, end - line, ";tag=", 5)) out += sprintf(out, ";tag=a%x", run_id);
            out = mempcpy(out, "\r\n", 2);
        }
        line = end + 2;
    }
    out += sprintf(out, "Contact: <sip:answer@127.0.0.1:%d>\r\n", opt.answer);
    if (with_sdp) out += sprintf(out, "Content-Type: application/sdp\r\n");
    out += sprintf(out, "Content-Length: %zu\r\n\r\n%s", with_sdp ? strlen(sdp) : 0, with_sdp ? sdp : "");
    port_queue(&answer, out - begin, to);
}

/* ---- what happens on a message ---- */

static void end_attempt(int slot) {
    attempts[slot].state = IDLE;
    idle[idle_count++] = slot;
}

static void begin_attempt(double at) {
    int slot = idle[--idle_count];
    attempts[slot] = (struct attempt){at, attempts[slot].turn + 1, ASKED};
    started++;
    if (opt.calls) send_invite(slot);
    else send_register(slot, NULL);
}

static void complete(int slot, double at) {
    int bin = (at - attempts[slot].begun) * 20000;
    latency[bin < 0 ? 0 : bin < BINS ? bin : BINS - 1]++;
    latencies++;
    done++;
    end_attempt(slot);
}

static void on_caller(char *message, double at) {
    int length, slot;
    unsigned turn, run;
    int status = strncmp(message, "SIP/2.0 ", 8) ? 0 : atoi(message + 8);
    char *call_id = header(message, "Call-ID", &length), *cseq = header(message, "CSeq", &length);
    if (!status || !call_id || !cseq || sscanf(call_id, "%x-%x-%x@", &slot, &turn, &run) != 3 || slot < 0 ||
        slot >= SLOTS || (int)run != run_id) { unexpected++; return; }
    struct attempt *attempt = &attempts[slot];
    if (attempt->turn != turn || attempt->state == IDLE) { repeated++; return; }
    if (status < 200) return;
    struct digest_challenge challenge;
    if (status == 401 && opt.password && attempt->state == ASKED && read_challenge(message, &challenge)) {
        attempt->state = CONFIRMED;
        send_register(slot, &challenge);
    } else if (opt.overload && opt.calls && status == 503 && attempt->state == ASKED) {
        refused++;
        if (!header(message, "Retry-After", &length)) bare++;
        send_refused_ack(slot, message);
        end_attempt(slot);
    } else if (status != 200) {
        if (unexpected++ < 3) fprintf(stderr, "unexpected: %.70s\n", message);
        failed++;
        end_attempt(slot);
    } else if (opt.calls && memmem(cseq, length, "INVITE", 6)) {
        if (attempt->state == CONFIRMED) { repeated++; return; }
        attempt->state = CONFIRMED;
        send_in_dialog(slot, message, "ACK", 1);
        send_in_dialog(slot, message, "BYE", 2);
    } else {
        complete(slot, at);
    }
}

static void on_answer(char *message, const struct sockaddr_in *from) {
    if (!strncmp(message, "INVITE ", 7)) {
        send_response(message, from, "180 Ringing", 0);
        send_response(message, from, "200 OK", 1);
    } else if (!strncmp(message, "BYE ", 4)) {
        send_response(message, from, "200 OK", 0);
    } else if (strncmp(message, "ACK ", 4)) {
        unexpected++;
    }
}

static int port_read(struct port *port, double at) {
    int n = recvmmsg(port->fd, port->in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        port->in_text[i][port->in[i].msg_len] = 0;
        port->received++;
        if (port == &caller) on_caller(port->in_text[i], at);
        else on_answer(port->in_text[i], &port->from[i]);
        port->in[i].msg_hdr.msg_namelen = sizeof port->from[i];
    }
    return n > 0 ? n : 0;
}

static int exchange(double at) {
    int n = port_read(&answer, at);
    port_flush(&answer);
    n += port_read(&caller, at);
    port_flush(&caller);
    return n;
}

static void rest(long nanoseconds) {
    struct pollfd ready[2] = {{caller.fd, POLLIN, 0}, {answer.fd, POLLIN, 0}};
    ppoll(ready, 2, &(struct timespec){0, nanoseconds}, NULL);
}

static void give_up_on_lost(double at) {
    for (int slot = 0; slot < SLOTS; slot++)
        if (attempts[slot].state != IDLE && at - attempts[slot].begun > LOST_AFTER_S) {
            failed++;
            end_attempt(slot);
        }
}

static double percentile(double share) {
    uint64_t below = 0;
    for (int bin = 0; bin < BINS; bin++)
        if ((below += latency[bin]) >= latencies * share) return (bin + 1) / 20.0;
    return 0;
}

static void read_options(int argc, char **argv, struct server *server) {
    for (int o; (o = getopt(argc, argv, "t:m:r:w:d:W:c:s:n:u:U:a:D:p:o")) > 0;) switch (o) {
        case 't': opt.target = atoi(optarg); break;
        case 'm': opt.calls = !strcmp(optarg, "call"); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'w': opt.window = atoi(optarg); break;
        case 'd': opt.seconds = atof(optarg); break;
        case 'W': opt.warm_up = atof(optarg); break;
        case 'c': opt.caller = atoi(optarg); break;
        case 's': opt.answer = atoi(optarg); break;
        case 'n': opt.number = optarg; break;
        case 'u': opt.first_user = atoi(optarg); break;
        case 'U': opt.users = atoi(optarg); break;
        case 'a': opt.password = optarg; break;
        case 'o': opt.overload = 1; break;
        case 'D': opt.domain = optarg; break;
        case 'p': server_parse(server, optarg); break;
        default: exit(2);
    }
    if (!opt.target || opt.users < 1) { fprintf(stderr, "sipload: -t PORT is needed\n"); exit(2); }
}

int main(int argc, char **argv) {
    struct server server = {0};
    read_options(argc, argv, &server);
    run_id = getpid();
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(opt.target), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    snprintf(sdp, sizeof sdp,
             "v=0\r\no=load 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
             "m=audio 6000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
             "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n");
    for (int slot = SLOTS; slot--;) idle[idle_count++] = slot;
    port_open(&caller, opt.caller);
    port_open(&answer, opt.answer);

    double begin = now(), measure_from = begin + opt.warm_up, end = measure_from + opt.seconds, scanned = begin, at;
    double wall = 0, cpu = 0, own = 0;
    uint64_t done_before = 0, refused_before = 0, started_before = 0, in_before = 0, out_before = 0;
    int measuring = 0;
    while ((at = now()) < end) {
        if (!measuring && at >= measure_from) {
            measuring = 1;
            memset(latency, 0, sizeof latency);
            latencies = 0;
            done_before = done;
            refused_before = refused;
            started_before = started;
            in_before = caller.sent + answer.sent;
            out_before = caller.received + answer.received;
            own = own_cpu();
            cpu = server_cpu(&server);
            wall = now();
        }
        double due = opt.rate > 0 ? (at - begin) * opt.rate : 0;
        for (int burst = 0; burst < 32 && idle_count; burst++) {
            if (opt.rate > 0 ? started >= due : SLOTS - idle_count >= opt.window) break;
            begin_attempt(at);
        }
        if (at - scanned > 0.5) { scanned = at; give_up_on_lost(at); }
        if (!exchange(at)) rest(200000);
    }
    cpu = server_cpu(&server) - cpu;
    wall = now() - wall;
    own = own_cpu() - own;
    uint64_t completed = done - done_before, sent_away = refused - refused_before, offered = started - started_before;
    uint64_t in = caller.sent + answer.sent - in_before, out = caller.received + answer.received - out_before;
    for (double drained = now() + LOST_AFTER_S; idle_count < SLOTS && (at = now()) < drained;)
        if (!exchange(at)) rest(5000000);
    printf("{\"completed\": %lu, \"per_second\": %.1f, \"lost\": %lu, \"unexpected\": %lu, \"repeated\": %lu, "
           "\"offered\": %lu, \"refused\": %lu, \"bare\": %lu, \"messages_in\": %lu, \"messages_out\": %lu, \"server_cpu_s\": %.6f, \"server_load\": %.3f, "
           "\"generator_load\": %.3f, \"wall_s\": %.4f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
           completed, completed / wall, failed + (SLOTS - idle_count), unexpected, repeated, offered,
           sent_away, bare, in, out, cpu, cpu / wall,
           own / wall, wall, percentile(0.5), percentile(0.99));
    return 0;
}
