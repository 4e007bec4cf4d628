// A phone made of JsSIP for the tests to drive: it speaks a tone of known frequency, measures the tone that it
// hears, and keeps a log of what happened. Signalling and media are the browser's own; only the microphone is
// an oscillator.
import JsSIP from "jssip";

const FFT_SIZE = 16384;
const PATIENCE_MS = 10000;

// A promise that fails when nothing happened for too long, so that no test waits for ever.
function soon(what, begin) {
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${what}: nothing happened`)), PATIENCE_MS);
    begin(resolve, reject);
  });
}

class Phone {
  constructor({ url, uri, password, toneHz }) {
    this.log = [];
    this.digits = [];
    this.session = null;
    this.analyser = null;
    this.context = new AudioContext({ sampleRate: 48000 });
    this.toneHz = toneHz;
    this.agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)],
      uri,
      password,
      register: true,
      user_agent: "browser test",
    });
    this.agent.on("newRTCSession", ({ originator, session }) => {
      this.follow(session, originator);
    });
  }

  note(name, detail = "") {
    this.log.push({ name, detail: String(detail) });
  }

  register() {
    return soon("registration", (resolve, reject) => {
      this.agent.on("registered", () => {
        this.note("registered");
        resolve("registered");
      });
      this.agent.on("registrationFailed", ({ cause, response }) =>
        reject(new Error(`registration failed: ${cause} ${response ? response.status_code : ""}`)));
      this.agent.on("disconnected", ({ code, reason }) => {
        this.note("disconnected", `${code} ${reason}`);
        reject(new Error(`no WebSocket: ${code} ${reason}`));
      });
      this.agent.start();
    });
  }

  unregister() {
    return soon("unregistration", (resolve) => {
      this.agent.once("unregistered", () => resolve("unregistered"));
      this.agent.unregister();
    });
  }

  // What the others hear and see: the oscillator, and the browser's fake camera where video is wanted.
  async ownStream(video) {
    const oscillator = this.context.createOscillator();
    const volume = this.context.createGain();
    const microphone = this.context.createMediaStreamDestination();
    oscillator.frequency.value = this.toneHz;
    volume.gain.value = 0.25;
    oscillator.connect(volume).connect(microphone);
    oscillator.start();
    await this.context.resume();
    const stream = microphone.stream;
    // Asking for the microphone as well lets the browser give out its real addresses.
    const devices = await navigator.mediaDevices.getUserMedia({ audio: true, video });
    for (const track of devices.getVideoTracks()) stream.addTrack(track);
    return stream;
  }

  follow(session, originator) {
    this.session = session;
    this.note("session", originator);
    if (session.connection) this.listen(session.connection);
    else session.on("peerconnection", ({ peerconnection }) => this.listen(peerconnection));
    for (const name of ["progress", "accepted", "confirmed", "ended", "failed", "hold", "unhold", "reinvite"])
      session.on(name, (event) => this.note(name, event.cause || event.originator || ""));
    session.on("newDTMF", ({ originator: by, dtmf }) => {
      if (by === "remote") this.digits.push(dtmf.tone);
    });
    session.on("icecandidate", ({ candidate, ready }) => {
      if (candidate && candidate.type === "host" && candidate.address === "127.0.0.1") ready();
    });
    for (const name of ["getusermediafailed", "peerconnection:setremotedescriptionfailed",
      "peerconnection:createofferfailed", "peerconnection:createanswerfailed",
      "peerconnection:setlocaldescriptionfailed"])
      session.on(name, (error) => this.note(name, error));
  }

  listen(connection) {
    connection.addEventListener("iceconnectionstatechange", () => this.note("ice", connection.iceConnectionState));
    connection.addEventListener("connectionstatechange", () => this.note("connection", connection.connectionState));
    connection.addEventListener("track", ({ track }) => {
      const stream = new MediaStream([track]);
      if (track.kind === "video") {
        document.getElementById("seen").srcObject = stream;
        return;
      }
      // Chromium lets remote audio flow into WebAudio only while a media element plays it.
      const element = new Audio();
      element.srcObject = stream;
      element.muted = true;
      element.play();
      this.element = element;
      this.analyser = this.context.createAnalyser();
      this.analyser.fftSize = FFT_SIZE;
      this.analyser.smoothingTimeConstant = 0;
      this.context.createMediaStreamSource(stream).connect(this.analyser);
    });
  }

  async call(target, { video = false } = {}) {
    const mediaStream = await this.ownStream(video);
    this.agent.call(target, { mediaStream, rtcOfferConstraints: { offerToReceiveVideo: video } });
  }

  async answer({ video = false } = {}) {
    const mediaStream = await this.ownStream(video);
    this.session.answer({ mediaStream });
  }

  hangUp() {
    this.session.terminate();
  }

  hold() {
    return soon("hold", (resolve, reject) => {
      if (!this.session.hold({}, () => resolve("held"))) reject(new Error("hold is not possible now"));
    });
  }

  resume() {
    return soon("resume", (resolve, reject) => {
      if (!this.session.unhold({}, () => resolve("resumed"))) reject(new Error("resume is not possible now"));
    });
  }

  // A re-INVITE that restarts ICE, as after a change of network.
  renegotiate() {
    return soon("renegotiation", (resolve, reject) => {
      const asked = this.session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, () => resolve("done"));
      if (!asked) reject(new Error("renegotiation is not possible now"));
    });
  }

  // A transfer: the other party shall talk to the target, or to the party of another session of ours.
  refer(target, { replaces = null } = {}) {
    return soon("transfer", (resolve, reject) => {
      this.session.refer(target, {
        replaces,
        eventHandlers: {
          accepted: () => resolve("accepted"),
          failed: ({ status_line: line }) => reject(new Error(`transfer failed: ${line ? line.status_code : ""}`)),
          requestFailed: ({ cause }) => reject(new Error(`transfer refused: ${cause}`)),
        },
      });
    });
  }

  sendDigits(digits, transport) {
    this.session.sendDTMF(digits, { transportType: transport, duration: 160, interToneGap: 100 });
  }

  // The strongest tone heard now, in Hz, with its height above the middle of the spectrum; null for silence.
  heard() {
    if (!this.analyser) return null;
    const bins = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(bins);
    const hzPerBin = this.context.sampleRate / FFT_SIZE;
    const top = Math.floor(3800 / hzPerBin);
    const peaks = [];
    for (let bin = Math.ceil(100 / hzPerBin); bin < top; bin++)
      if (bins[bin] > bins[bin - 1] && bins[bin] >= bins[bin + 1]) peaks.push(bin);
    if (!peaks.length) return null;
    peaks.sort((a, b) => bins[b] - bins[a]);
    const bin = peaks[0];
    if (!(bins[bin] > -60)) return null;
    const apart = peaks.find((other) => Math.abs(other - bin) * hzPerBin > 50);
    const curve = bins[bin - 1] - 2 * bins[bin] + bins[bin + 1];
    const shift = curve ? (bins[bin - 1] - bins[bin + 1]) / (2 * curve) : 0;
    return {
      hz: (bin + shift) * hzPerBin,
      db: bins[bin],
      secondHz: apart ? apart * hzPerBin : 0,
      secondDb: apart ? bins[apart] : -200,
    };
  }

  async figures() {
    const figures = { framesDecoded: 0, frameWidth: 0, audioPackets: 0, audioLost: 0, framesSent: 0, codecs: [] };
    if (!this.session || !this.session.connection) return figures;
    for (const report of (await this.session.connection.getStats()).values()) {
      if (report.type === "codec") figures.codecs.push(report.mimeType);
      if (report.type === "inbound-rtp" && report.kind === "video") {
        figures.framesDecoded += report.framesDecoded || 0;
        figures.frameWidth = report.frameWidth || 0;
      }
      if (report.type === "inbound-rtp" && report.kind === "audio") {
        figures.audioPackets += report.packetsReceived || 0;
        figures.audioLost += report.packetsLost || 0;
      }
      if (report.type === "outbound-rtp" && report.kind === "video") figures.framesSent += report.framesSent || 0;
    }
    return figures;
  }
}

window.Phone = Phone;
