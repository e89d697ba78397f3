use rumqttc::{ConnAck, PubAck, SubAck, SubscribeReasonCode};

use super::*;
use crate::world::seed::Seed;

const START: Time = Time::from_unix_secs(1_000);

/// A session with a broker that is played by the test.
struct Bench {
    session: Session,
    settings: Settings,
    rng: Rng,
    out: Outputs,
    now: Time,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        Bench {
            session: Session::new("pump-1", "tenant/acme/device/pump-1/data", START),
            settings,
            rng: Seed::root(1).rng(),
            out: Outputs::default(),
            now: START,
        }
    }

    fn connected(settings: Settings) -> Self {
        let mut bench = Bench::new(settings);
        bench.connect();
        bench
    }

    fn step(&mut self, input: Input<'_>) {
        self.session.step(&self.settings, self.now, &mut self.rng, input, &mut self.out);
    }

    fn tick_after(&mut self, wait: Duration) {
        self.now += wait;
        self.step(Input::Tick);
    }

    fn enqueue(&mut self, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            let payload = Bytes::from(seq.to_string());
            self.session.enqueue(self.settings.queue_max, Message::Reading(seq), payload, &mut self.out);
        }
        self.step(Input::Tick);
    }

    /// Waits until the session wants to connect, and lets it.
    fn connect(&mut self) {
        self.now = self.now.max(self.session.wake_at(&self.settings));
        self.step(Input::Tick);
        assert_eq!(self.out.command.take(), Some(Command::Connect));
        self.step(Input::Connected);
        match self.sent().as_slice() {
            [Packet::Connect(connect)] => {
                let told = (connect.client_id.as_str(), connect.keep_alive, connect.clean_session);
                assert_eq!(told, ("pump-1", 60, true));
            }
            other => panic!("expected one CONNECT, got {other:?}"),
        }
        self.receive(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
        assert_eq!(self.out.events.remove(0), SessionEvent::Accepted { resumed: false });
    }

    fn receive(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        write(&packet, &mut bytes);
        // In two parts: packets do not arrive whole.
        let (head, tail) = bytes.split_at(1);
        self.step(Input::Bytes(head));
        self.step(Input::Bytes(tail));
    }

    fn acknowledge(&mut self, packet_id: u16) {
        self.receive(Packet::PubAck(PubAck::new(packet_id)));
    }

    fn sent(&mut self) -> Vec<Packet> {
        let mut bytes = self.out.send.split();
        std::iter::from_fn(|| Packet::read(&mut bytes, usize::MAX).ok()).collect()
    }

    /// (packet id, DUP, payload) of the publishes that were sent since the last look.
    fn published(&mut self) -> Vec<(u16, bool, String)> {
        let publish = |packet| match packet {
            Packet::Publish(p) => (p.pkid, p.dup, String::from_utf8(p.payload.to_vec()).expect("digits")),
            other => panic!("expected publishes, got {other:?}"),
        };
        self.sent().into_iter().map(publish).collect()
    }

    fn seqs_published(&mut self) -> Vec<u64> {
        self.published().into_iter().map(|(_, _, payload)| payload.parse().expect("digits")).collect()
    }

    fn events(&mut self) -> Vec<SessionEvent> {
        std::mem::take(&mut self.out.events)
    }

    fn lost(&mut self) -> &'static str {
        let events = self.events();
        match events.last() {
            Some(SessionEvent::Lost { reason }) => reason,
            _ => panic!("expected a loss, got {events:?}"),
        }
    }
}

fn window(in_flight_max: u16) -> Settings {
    Settings { in_flight_max, ..Settings::default() }
}

#[test]
fn an_acknowledgement_opens_the_window_for_the_next_reading() {
    let mut bench = Bench::connected(window(2));
    bench.enqueue(1..=3);
    assert_eq!(bench.published(), [(1, false, "1".to_owned()), (2, false, "2".to_owned())]);
    bench.events();
    bench.acknowledge(1);
    assert_eq!(bench.published(), [(1, false, "3".to_owned())]);
    let events = [
        SessionEvent::Acknowledged { message: Message::Reading(1) },
        SessionEvent::Sent { message: Message::Reading(3), payload: "3".into(), sent_at_ms: None },
    ];
    assert_eq!(bench.events(), events);
    assert_eq!(bench.session.queued(), 2);
}

#[test]
fn a_reading_that_is_published_anew_is_stamped_anew_and_a_packet_that_is_sent_again_is_not() {
    for persistent in [false, true] {
        let mut bench = Bench::new(window(2));
        if persistent {
            bench.session = Session::new("pump-1", "tenant/acme/device/pump-1/data", START).persistent();
            bench.resume(false);
        } else {
            bench.connect();
        }
        bench.session.set_clock(60_000_000);
        let payload = Payload::open("{\"seq\":1".into());
        bench.session.enqueue(10, Message::Reading(1), payload, &mut bench.out);
        bench.step(Input::Tick);
        let stamp = |now: Time| now.unix_millis() + 60_000;
        let first = stamp(bench.now);
        let text = |stamp: u64| format!("{{\"seq\":1,\"sent_at\":{stamp}}}");
        assert_eq!(bench.published(), [(1, false, text(first))]);
        assert!(matches!(bench.events()[..], [SessionEvent::Sent { sent_at_ms: Some(at), .. }] if at == first));
        bench.step(Input::Disconnected);
        bench.events();
        bench.now += Duration::from_secs(600);
        if persistent {
            bench.resume(true);
            assert_eq!(bench.published(), [(1, true, text(first))]);
        } else {
            bench.connect();
            assert_eq!(bench.published(), [(1, false, text(stamp(bench.now)))]);
            assert!(stamp(bench.now) >= first + 600_000);
        }
    }
}

#[test]
fn after_a_reconnect_unacknowledged_readings_are_published_anew_and_in_order() {
    let mut bench = Bench::connected(window(3));
    bench.enqueue(1..=5);
    bench.acknowledge(2);
    assert_eq!(bench.seqs_published(), [1, 2, 3]);
    bench.step(Input::Disconnected);
    assert_eq!(bench.lost(), "closed by the broker");
    bench.enqueue(6..=6);
    assert!(bench.sent().is_empty());
    bench.connect();
    let anew = [(1, false, "1".to_owned()), (2, false, "3".to_owned()), (3, false, "4".to_owned())];
    assert_eq!(bench.published(), anew);
    for packet_id in [1, 2, 3, 1, 2] {
        bench.acknowledge(packet_id);
    }
    assert_eq!(bench.seqs_published(), [5, 6]);
    assert_eq!(bench.session.queued(), 0);
}

#[test]
fn a_packet_id_that_is_still_in_use_parks_the_next_reading() {
    let mut bench = Bench::connected(window(2));
    bench.enqueue(1..=4);
    bench.acknowledge(2);
    assert_eq!(bench.seqs_published(), [1, 2], "packet id 1 is in use, so 3 waits");
    bench.acknowledge(1);
    assert_eq!(bench.published(), [(1, false, "3".to_owned()), (2, false, "4".to_owned())]);
    for packet_id in [2, 1] {
        bench.acknowledge(packet_id);
    }
    let acknowledged: Vec<u64> = bench.events().iter().filter_map(acknowledged_seq).collect();
    assert_eq!(acknowledged, [2, 1, 4, 3]);
}

fn acknowledged_seq(event: &SessionEvent) -> Option<u64> {
    match event {
        SessionEvent::Acknowledged { message: Message::Reading(seq) } => Some(*seq),
        _ => None,
    }
}

#[test]
fn a_full_queue_gives_up_the_oldest_reading_that_is_not_in_flight() {
    let mut bench = Bench::connected(Settings { queue_max: 4, ..window(2) });
    bench.enqueue(1..=6);
    let dropped = |events: Vec<SessionEvent>| -> Vec<u64> {
        events
            .iter()
            .filter_map(|e| match e {
                SessionEvent::Dropped { message: Message::Reading(seq) } => Some(*seq),
                _ => None,
            })
            .collect()
    };
    // All six were queued before the session could send.
    assert_eq!(dropped(bench.events()), [1, 2]);
    assert_eq!(bench.seqs_published(), [3, 4]);
    bench.enqueue(7..=7);
    assert_eq!(dropped(bench.events()), [5]);
    bench.acknowledge(1);
    bench.acknowledge(2);
    assert_eq!(bench.seqs_published(), [6, 7]);

    let mut bench = Bench::connected(Settings { queue_max: 2, ..window(2) });
    bench.enqueue(1..=2);
    bench.enqueue(3..=3);
    assert_eq!(dropped(bench.events()), [3], "all older ones are in flight");
}

#[test]
fn publishes_are_paced_below_the_limit_of_the_broker() {
    let mut bench = Bench::connected(Settings { publishes_per_second: 10, publish_burst: 3, ..Settings::default() });
    bench.enqueue(1..=20);
    assert_eq!(bench.seqs_published(), [1, 2, 3]);
    for seq in 4..=6 {
        let next = bench.session.wake_at(&bench.settings);
        assert_eq!(next.since(bench.now), Duration::from_millis(100));
        bench.tick_after(Duration::from_millis(99));
        assert!(bench.sent().is_empty());
        bench.tick_after(Duration::from_millis(1));
        assert_eq!(bench.seqs_published(), [seq]);
    }
}

#[test]
fn an_idle_connection_pings_and_is_given_up_without_an_answer() {
    let mut bench = Bench::connected(Settings::default());
    assert_eq!(bench.session.wake_at(&bench.settings).since(bench.now), Duration::from_secs(45));
    bench.tick_after(Duration::from_secs(45));
    assert_eq!(bench.sent(), [Packet::PingReq]);
    bench.receive(Packet::PingResp);
    bench.tick_after(Duration::from_secs(45));
    assert_eq!(bench.sent(), [Packet::PingReq]);
    assert_eq!(bench.session.wake_at(&bench.settings).since(bench.now), Duration::from_secs(10));
    bench.tick_after(Duration::from_secs(10));
    assert_eq!(bench.out.command, Some(Command::Close));
    assert_eq!(bench.lost(), "no PINGRESP");
}

#[test]
fn a_publish_counts_as_a_sign_of_life() {
    let mut bench = Bench::connected(Settings::default());
    bench.now += Duration::from_secs(40);
    bench.enqueue(1..=1);
    bench.acknowledge(1);
    bench.sent();
    bench.tick_after(Duration::from_secs(44));
    assert!(bench.sent().is_empty());
}

#[test]
fn failures_close_the_connection_and_say_why() {
    type Play = fn(&mut Bench);
    let cases: [(&str, Play); 5] = [
        ("no PUBACK", |bench| {
            bench.enqueue(1..=1);
            bench.tick_after(Duration::from_secs(30));
        }),
        ("malformed packet", |bench| bench.step(Input::Bytes(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))),
        ("unexpected packet", |bench| bench.acknowledge(7)),
        ("refused by the broker", |bench| {
            bench.step(Input::Disconnected);
            bench.now = bench.session.wake_at(&bench.settings);
            bench.step(Input::Tick);
            bench.step(Input::Connected);
            bench.receive(Packet::ConnAck(ConnAck::new(ConnectReturnCode::NotAuthorized, false)));
        }),
        ("connect timed out", |bench| {
            bench.step(Input::Disconnected);
            bench.now = bench.session.wake_at(&bench.settings);
            bench.step(Input::Tick);
            bench.tick_after(Duration::from_secs(15));
        }),
    ];
    for (reason, play) in cases {
        let mut bench = Bench::connected(Settings::default());
        play(&mut bench);
        assert_eq!(bench.out.command, Some(Command::Close), "{reason}");
        assert_eq!(bench.lost(), reason);
    }
}

#[test]
fn back_off_doubles_its_range_up_to_the_maximum_and_starts_again_after_an_acknowledgement() {
    let mut longest = [Duration::ZERO; 9];
    for seed in 0..200 {
        let mut bench = Bench::new(Settings::default());
        bench.rng = Seed::root(seed).rng();
        for longest in &mut longest {
            bench.now = bench.session.wake_at(&bench.settings);
            bench.step(Input::Tick);
            bench.step(Input::Disconnected);
            *longest = (*longest).max(bench.session.wake_at(&bench.settings).since(bench.now));
        }
    }
    for (n, longest) in longest.iter().enumerate() {
        let range = Duration::from_secs(1 << n).min(Duration::from_secs(60));
        assert!(*longest <= range && *longest > range.mul_f64(0.95), "failure {n}: {longest:?} of {range:?}");
    }

    let mut bench = Bench::connected(Settings::default());
    bench.session.failures = 9;
    bench.enqueue(1..=1);
    bench.acknowledge(1);
    bench.step(Input::Disconnected);
    assert!(bench.session.wake_at(&bench.settings).since(bench.now) <= Duration::from_secs(1));
}

#[test]
fn a_restart_keeps_the_queue_and_connects_at_once() {
    let mut bench = Bench::connected(Settings::default());
    bench.enqueue(1..=3);
    bench.sent();
    let now = bench.now;
    bench.session.restart(now, &mut bench.out);
    assert_eq!(bench.session.wake_at(&bench.settings), bench.now);
    bench.out = Outputs::default();
    bench.connect();
    assert_eq!(bench.seqs_published(), [1, 2, 3]);
}

impl Bench {
    fn enqueue_message(&mut self, message: Message, payload: &str) -> bool {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        self.session.enqueue(self.settings.queue_max, message, payload, &mut self.out)
    }

    fn dropped(&mut self) -> Vec<Message> {
        let dropped = self.events().into_iter().filter_map(|event| match event {
            SessionEvent::Dropped { message } => Some(message),
            _ => None,
        });
        dropped.collect()
    }
}

#[test]
fn a_copy_is_a_message_of_its_own_with_another_packet_id() {
    let mut bench = Bench::connected(window(3));
    assert!(bench.enqueue_message(Message::Reading(1), "1") && bench.enqueue_message(Message::Copy(1), "1"));
    bench.enqueue(2..=2);
    assert_eq!(bench.published(), [(1, false, "1".to_owned()), (2, false, "1".to_owned()), (3, false, "2".to_owned())]);
    bench.events();
    bench.acknowledge(2);
    assert_eq!(bench.events(), [SessionEvent::Acknowledged { message: Message::Copy(1) }]);
    assert_eq!(bench.session.queued(), 2);
}

#[test]
fn only_a_reading_makes_others_give_way_and_its_copy_goes_with_it() {
    let mut bench = Bench::new(Settings { queue_max: 3, ..window(2) });
    for (message, payload, queued) in [
        (Message::Reading(1), "1", true),
        (Message::Copy(1), "1", true),
        (Message::Stray(0), "x", true),
        (Message::Copy(1), "1", false),
        (Message::Stray(1), "y", false),
        (Message::Oversized, "z", false),
    ] {
        assert_eq!(bench.enqueue_message(message, payload), queued, "{message:?}");
    }
    assert_eq!(bench.dropped(), []);
    assert!(bench.enqueue_message(Message::Reading(2), "2"));
    assert_eq!(bench.dropped(), [Message::Reading(1), Message::Copy(1)]);
    assert_eq!(bench.session.queued(), 2);
}

#[test]
fn what_is_oversized_is_sent_once_and_never_again() {
    let mut bench = Bench::connected(window(3));
    bench.enqueue(1..=1);
    assert!(bench.enqueue_message(Message::Oversized, "0"));
    bench.enqueue(2..=2);
    assert_eq!(bench.seqs_published(), [1, 0, 2]);
    bench.events();
    bench.step(Input::Disconnected);
    assert_eq!(bench.dropped(), [Message::Oversized]);
    // One that could not be sent yet waits for the next connection.
    assert!(bench.enqueue_message(Message::Oversized, "9"));
    bench.connect();
    assert_eq!(bench.seqs_published(), [1, 2, 9]);
    let now = bench.now;
    bench.session.restart(now, &mut bench.out);
    assert_eq!(bench.dropped(), [Message::Oversized]);
    assert_eq!(bench.session.queued(), 2);
}

const FILTERS: [&str; 2] = ["a/command", "b/+"];

/// A session that outlives its connections, with two subscriptions.
fn lasting(settings: Settings) -> Bench {
    let mut bench = Bench::new(settings);
    let session = Session::new("pump-1", "tenant/acme/device/pump-1/data", START).persistent();
    bench.session = session.subscribing(FILTERS.map(str::to_owned).to_vec());
    bench
}

impl Bench {
    /// Connects with a persistent session; the broker says whether it has one.
    fn resume(&mut self, present: bool) {
        self.now = self.now.max(self.session.wake_at(&self.settings));
        self.step(Input::Tick);
        assert_eq!(self.out.command.take(), Some(Command::Connect));
        self.step(Input::Connected);
        assert!(matches!(self.sent().as_slice(), [Packet::Connect(connect)] if !connect.clean_session));
        self.events();
        self.receive(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, present)));
        assert_eq!(self.out.events.remove(0), SessionEvent::Accepted { resumed: present });
    }

    /// Packet id of the one SUBSCRIBE that was sent.
    fn subscribed(&mut self) -> u16 {
        match self.sent().as_slice() {
            [Packet::Subscribe(subscribe)] => {
                let filters: Vec<&str> = subscribe.filters.iter().map(|filter| filter.path.as_str()).collect();
                assert_eq!(filters, FILTERS);
                subscribe.pkid
            }
            other => panic!("expected one SUBSCRIBE, got {other:?}"),
        }
    }

    fn grant(&mut self, packet_id: u16, codes: [SubscribeReasonCode; 2]) {
        self.receive(Packet::SubAck(SubAck::new(packet_id, codes.to_vec())));
    }
}

const GRANTED: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtLeastOnce);

#[test]
fn a_session_that_goes_on_repeats_what_was_sent_with_its_packet_ids_and_dup() {
    let mut bench = lasting(window(3));
    bench.resume(false);
    let id = bench.subscribed();
    bench.grant(id, [GRANTED; 2]);
    bench.enqueue(1..=5);
    bench.acknowledge(2);
    assert_eq!(bench.seqs_published(), [1, 2, 3]);
    bench.step(Input::Disconnected);
    bench.session.enqueue_note(7, "other".into(), Bytes::from_static(b"0"));
    bench.resume(true);
    assert_eq!(bench.out.events[0], SessionEvent::Listening { anew: false });
    // 4 was parked behind the packet id of 1, and never sent.
    let again = [(1, true, "1".to_owned()), (3, true, "3".to_owned())];
    assert_eq!(bench.published(), again, "the note waits for a packet id");
    // After a loss of power as well.
    let now = bench.now;
    bench.session.restart(now, &mut bench.out);
    bench.out = Outputs::default();
    bench.resume(true);
    assert_eq!(bench.published(), again);
    for packet_id in [1, 3] {
        bench.acknowledge(packet_id);
    }
    let acknowledged: Vec<u64> = bench.events().iter().filter_map(acknowledged_seq).collect();
    assert_eq!(acknowledged, [1, 3]);
}

#[test]
fn without_its_session_at_the_broker_all_begins_anew() {
    let mut bench = lasting(window(3));
    bench.resume(false);
    let id = bench.subscribed();
    bench.grant(id, [GRANTED; 2]);
    bench.enqueue(1..=2);
    bench.sent();
    bench.step(Input::Disconnected);
    bench.resume(false);
    let sent = bench.sent();
    assert!(matches!(sent[0], Packet::Subscribe(_)), "{sent:?}");
    let anew: Vec<(u16, bool)> = sent
        .iter()
        .filter_map(|packet| match packet {
            Packet::Publish(publish) => Some((publish.pkid, publish.dup)),
            _ => None,
        })
        .collect();
    assert_eq!(anew, [(1, false), (2, false)]);
}

#[test]
fn a_refused_subscription_is_asked_for_again_and_an_unanswered_one_ends_the_connection() {
    let mut bench = lasting(Settings::default());
    bench.resume(false);
    let mut id = bench.subscribed();
    for wait in [2, 4, 8] {
        bench.grant(id, [GRANTED, SubscribeReasonCode::Failure]);
        assert_eq!(bench.events(), [SessionEvent::NotListening { filter: "b/+".into() }]);
        bench.tick_after(Duration::from_secs(wait) - Duration::from_millis(1));
        assert_eq!(bench.sent(), []);
        bench.tick_after(Duration::from_millis(1));
        let next = bench.subscribed();
        assert!(next != id && next > bench.settings.in_flight_max, "{next} is no packet id of a publish");
        id = next;
    }
    bench.grant(id, [GRANTED; 2]);
    assert_eq!(bench.events(), [SessionEvent::Listening { anew: true }]);
    // A session that is not known to have its subscriptions asks for them, even when it goes on.
    let mut bench = lasting(Settings::default());
    bench.resume(false);
    bench.subscribed();
    bench.step(Input::Disconnected);
    bench.resume(true);
    bench.subscribed();
    bench.tick_after(Duration::from_secs(30));
    assert_eq!(bench.lost(), "no SUBACK");
}

#[test]
fn what_arrives_is_handed_over_and_acknowledged_at_once() {
    let mut bench = lasting(Settings::default());
    bench.resume(false);
    let id = bench.subscribed();
    bench.grant(id, [GRANTED; 2]);
    bench.events();
    for dup in [false, true] {
        let mut publish = Publish::new("a/command", QoS::AtLeastOnce, "{}");
        (publish.pkid, publish.dup) = (9, dup);
        bench.receive(Packet::Publish(publish));
        assert_eq!(bench.sent(), [Packet::PubAck(PubAck::new(9))]);
        let received = SessionEvent::Received { topic: "a/command".to_owned(), payload: Bytes::from_static(b"{}") };
        assert_eq!(bench.events(), [received]);
    }
}

#[test]
fn notes_go_before_waiting_readings_never_give_way_and_can_be_taken_back() {
    let mut bench = lasting(Settings { queue_max: 3, ..window(1) });
    for (seq, payload) in [(1, "1"), (2, "2")] {
        bench.enqueue_message(Message::Reading(seq), payload);
    }
    bench.session.enqueue_note(1, "x".into(), Bytes::from_static(b"100"));
    bench.session.enqueue_note(2, "y".into(), Bytes::from_static(b"200"));
    bench.events();
    bench.enqueue_message(Message::Reading(3), "3");
    assert_eq!(bench.dropped(), [Message::Reading(1), Message::Reading(2)], "notes take room, and stay");
    bench.resume(false);
    let id = {
        let sent = bench.sent();
        let [Packet::Subscribe(subscribe), Packet::Publish(first)] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!((first.topic.as_str(), &first.payload[..]), ("x", &b"100"[..]));
        subscribe.pkid
    };
    bench.grant(id, [GRANTED; 2]);
    bench.events();
    bench.session.drop_notes(&mut bench.out);
    assert_eq!(bench.dropped(), [Message::Note(2)], "the first is sent");
    bench.acknowledge(1);
    assert_eq!(bench.seqs_published(), [3]);
}
