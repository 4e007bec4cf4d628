"""Media protocols without sockets: SDP, RTP, RTCP, STUN, ICE-lite, DTLS, SRTP, quality figures."""
