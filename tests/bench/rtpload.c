/* Paced RTP through a relay: both ends of N calls, 50 packets a second in each direction, each call in turn.
 *
 *   rtpload -f CALLS [-n COUNT] [-a PORT_A] [-b PORT_B] [-d SECONDS] [-W WARM_UP] [-q FIRST_SEQUENCE] -p PID,PID...
 *
 * A line of CALLS is `PORT_TO_A PORT_TO_B [OUR_KEY RELAY_KEY]`: where the relay takes the packets of the ends A and B,
 * and with keys (base64, SDES, AES_CM_128_HMAC_SHA1_80) the end A speaks SRTP. All A ends share one socket, all B ends
 * another; the SSRC tells a packet's call. SRTP is made before the clock starts. One JSON line at the end; every
 * packet is counted, one in sixteen of the plain ones and all protected ones of the first call are read whole.
 */
#define _GNU_SOURCE
#include "schedstat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <srtp2/srtp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define PAYLOAD 160
#define PACKET (12 + PAYLOAD)
#define ROOM 224
#define FIRST_SSRC 0x10000000u
#define BINS 4000            /* of 50 us: latencies up to 200 ms */
#define REMEMBERED 1024      /* send times of a stream, by sequence number */

struct call {
    struct sockaddr_in to[2];            /* relay's ports for A and B */
    char key[2][64];                     /* of our SRTP, and of the relay's */
    uint8_t *made;                       /* A's packets, protected: ROOM bytes each, length in the last two */
};

struct end {                             /* a socket with the packets that wait to be sent together */
    int fd, waiting;
    struct mmsghdr out[BATCH], in[BATCH];
    struct iovec out_part[BATCH], in_part[BATCH];
    uint8_t out_bytes[BATCH][ROOM], in_bytes[BATCH][2048];
};

static struct call *calls;
static struct end ends[2];
static int count, protect, first_sequence;
static double *sent_at;
static uint8_t payload[PAYLOAD];
static uint64_t sent, received, stray, checked, damaged, latency[BINS], latencies;
static srtp_t first_relay;               /* opens what the relay protects for the first call */

static srtp_t session(const char *key, int inbound) {
    uint8_t raw[64];
    EVP_DecodeBlock(raw, (const unsigned char *)key, strlen(key));
    srtp_policy_t policy = {.key = raw, .window_size = 1024, .allow_repeat_tx = 1};
    policy.ssrc.type = inbound ? ssrc_any_inbound : ssrc_any_outbound;
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
    srtp_t made;
    if (srtp_create(&made, &policy)) { fprintf(stderr, "rtpload: srtp_create failed\n"); exit(2); }
    return made;
}

static void write_packet(uint8_t *out, int stream, uint32_t number) {
    uint16_t sequence = htons((uint16_t)(number + first_sequence));
    uint32_t timestamp = htonl((number + first_sequence) * PAYLOAD), ssrc = htonl(FIRST_SSRC + stream);
    out[0] = 0x80;
    out[1] = 0;
    memcpy(out + 2, &sequence, 2);
    memcpy(out + 4, &timestamp, 4);
    memcpy(out + 8, &ssrc, 4);
    memcpy(out + 12, payload, PAYLOAD);
}

static void protect_all(uint32_t packets) {
    for (int i = 0; i < count; i++) {
        srtp_t own = session(calls[i].key[0], 0);
        calls[i].made = malloc((size_t)packets * ROOM);
        for (uint32_t number = 0; number < packets; number++) {
            uint8_t *slot = calls[i].made + (size_t)number * ROOM;
            int length = PACKET;
            write_packet(slot, 2 * i, number);
            if (srtp_protect(own, slot, &length)) { fprintf(stderr, "rtpload: srtp_protect failed\n"); exit(2); }
            slot[ROOM - 1] = length;
        }
        srtp_dealloc(own);
    }
    first_relay = session(calls[0].key[1], 1);
}

static void end_open(struct end *end, int port) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int size = 16 << 20;
    end->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (setsockopt(end->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(end->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(end->fd, (struct sockaddr *)&own, sizeof own)) { perror("bind"); exit(2); }
    for (int i = 0; i < BATCH; i++) {
        end->in_part[i] = (struct iovec){end->in_bytes[i], sizeof end->in_bytes[i]};
        end->in[i].msg_hdr = (struct msghdr){.msg_iov = &end->in_part[i], .msg_iovlen = 1};
    }
}

static void end_flush(struct end *end) {
    int gone = 0;
    while (gone < end->waiting) {
        int n = sendmmsg(end->fd, end->out + gone, end->waiting - gone, 0);
        if (n > 0) gone += n;
        else if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) { perror("sendmmsg"); exit(2); }
    }
    end->waiting = 0;
}

/* the k-th packet of all: streams take turns, so that each has its own 20 ms beat */
static void send_packet(uint64_t k, double at) {
    int stream = k % (2 * count), side = stream & 1;
    uint32_t number = k / (2 * count);
    struct end *end = &ends[side];
    if (end->waiting == BATCH) end_flush(end);
    int place = end->waiting++;
    end->out_part[place] = (struct iovec){end->out_bytes[place], PACKET};
    if (protect && side == 0) {
        uint8_t *made = calls[stream / 2].made + (size_t)number * ROOM;
        end->out_part[place] = (struct iovec){made, made[ROOM - 1]};
    } else {
        write_packet(end->out_bytes[place], stream, number);
    }
    end->out[place].msg_hdr = (struct msghdr){&calls[stream / 2].to[side], sizeof(struct sockaddr_in),
                                              &end->out_part[place], 1, NULL, 0, 0};
    sent_at[(size_t)stream * REMEMBERED + (uint16_t)(number + first_sequence) % REMEMBERED] = at;
    sent++;
}

static void on_packet(uint8_t *packet, int length, int side, double at) {
    uint32_t ssrc;
    uint16_t sequence;
    if (length > 1 && packet[1] >= 192 && packet[1] <= 223) return; /* RTCP of the relay itself */
    memcpy(&sequence, packet + 2, 2);
    memcpy(&ssrc, packet + 8, 4);
    uint32_t stream = ntohl(ssrc) - FIRST_SSRC;
    if (length < PACKET || stream >= 2u * count || (int)(stream & 1) == side) { stray++; return; }
    sequence = ntohs(sequence);
    received++;
    double late = at - sent_at[(size_t)stream * REMEMBERED + sequence % REMEMBERED];
    int bin = late * 20000;
    latency[bin < 0 ? 0 : bin < BINS ? bin : BINS - 1]++;
    latencies++;
    if (protect && side == 0) {
        if (stream != 1) return;
        if (srtp_unprotect(first_relay, packet, &length)) { damaged++; return; }
    } else if (sequence % 16) {
        return;
    }
    checked++;
    if (length != PACKET || memcmp(packet + 12, payload, PAYLOAD)) damaged++;
}

static int end_read(int side, double at) {
    struct end *end = &ends[side];
    int n = recvmmsg(end->fd, end->in, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) on_packet(end->in_bytes[i], end->in[i].msg_len, side, at);
    return n > 0 ? n : 0;
}

static double percentile(double share) {
    uint64_t below = 0;
    for (int bin = 0; bin < BINS; bin++)
        if ((below += latency[bin]) >= latencies * share) return (bin + 1) / 20.0;
    return 0;
}

static void read_calls(const char *path, int most) {
    FILE *file = fopen(path, "r");
    if (!file) { perror(path); exit(2); }
    calls = calloc(most, sizeof *calls);
    int to_a, to_b, fields;
    while (count < most) {
        struct call *call = &calls[count];
        char line[256];
        if (!fgets(line, sizeof line, file)) break;
        fields = sscanf(line, "%d %d %63s %63s", &to_a, &to_b, call->key[0], call->key[1]);
        if (fields < 2) continue;
        protect = fields == 4;
        for (int side = 0; side < 2; side++)
            call->to[side] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(side ? to_b : to_a),
                                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
        count++;
    }
    fclose(file);
    if (!count) { fprintf(stderr, "rtpload: no calls in %s\n", path); exit(2); }
}

int main(int argc, char **argv) {
    struct server server = {0};
    const char *path = NULL;
    int most = 10000, port[2] = {40000, 40002};
    double length_s = 4, warm_up = 1, rate = 50;
    for (int o; (o = getopt(argc, argv, "f:n:a:b:d:W:q:p:")) > 0;) switch (o) {
        case 'f': path = optarg; break;
        case 'n': most = atoi(optarg); break;
        case 'a': port[0] = atoi(optarg); break;
        case 'b': port[1] = atoi(optarg); break;
        case 'd': length_s = atof(optarg); break;
        case 'W': warm_up = atof(optarg); break;
        case 'q': first_sequence = atoi(optarg); break;
        case 'p': server_parse(&server, optarg); break;
        default: exit(2);
    }
    if (!path || most < 1) { fprintf(stderr, "rtpload: -f CALLS is needed\n"); exit(2); }
    srtp_init();
    read_calls(path, most);
    for (int i = 0; i < PAYLOAD; i++) payload[i] = i * 7 + 3;
    sent_at = calloc((size_t)2 * count * REMEMBERED, sizeof *sent_at);
    if (protect) protect_all((warm_up + length_s) * rate + 50);
    end_open(&ends[0], port[0]);
    end_open(&ends[1], port[1]);

    double begin = now(), measure_from = begin + warm_up, end = measure_from + length_s, at;
    double wall = 0, cpu = 0, own = 0, per_second = rate * 2 * count;
    uint64_t next = 0, sent_before = 0, received_before = 0, behind = 0;
    int measuring = 0;
    while ((at = now()) < end) {
        if (!measuring && at >= measure_from) {
            measuring = 1;
            memset(latency, 0, sizeof latency);
            latencies = 0;
            sent_before = sent;
            received_before = received;
            own = own_cpu();
            cpu = server_cpu(&server);
            wall = now();
        }
        uint64_t due = (at - begin) * per_second;
        if (due > next + per_second * 0.02 + BATCH) behind++;
        for (int burst = 0; next < due && burst < 2 * BATCH; burst++) send_packet(next++, at);
        end_flush(&ends[0]);
        end_flush(&ends[1]);
        if (!(end_read(0, at) + end_read(1, at)) && next >= due) nanosleep(&(struct timespec){0, 300000}, NULL);
    }
    cpu = server_cpu(&server) - cpu;
    wall = now() - wall;
    own = own_cpu() - own;
    uint64_t relayed = received - received_before, offered = sent - sent_before;
    for (double drained = now() + 0.5; (at = now()) < drained;)
        if (!(end_read(0, at) + end_read(1, at))) usleep(1000);
    printf("{\"calls\": %d, \"offered\": %lu, \"relayed\": %lu, \"lost\": %ld, \"stray\": %lu, \"checked\": %lu, "
           "\"damaged\": %lu, \"behind\": %lu, \"server_cpu_s\": %.6f, \"server_load\": %.3f, \"generator_load\": %.3f, "
           "\"wall_s\": %.4f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
           count, offered, relayed, (long)(sent - received), stray, checked, damaged, behind, cpu, cpu / wall, own / wall,
           wall, percentile(0.5), percentile(0.99));
    return 0;
}
