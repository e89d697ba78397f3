use std::time::Duration;

use super::mqtt::{Got, Hello, Mqtt, v3, v5};

const SECOND: Duration = Duration::from_secs(1);
const GROUP: &str = "$share/g/t/#";

/// A publisher on connection 1, and members of a group on the connections 2, 3, ...
fn group(members: &[Hello]) -> Mqtt {
    let all: Vec<Hello> = std::iter::once(v3("p")).chain(members.iter().cloned()).collect();
    let mut mqtt = Mqtt::connected(&all);
    for (connection, _) in (2..).zip(members) {
        assert_eq!(mqtt.subscribe(connection, GROUP, 1), [Got::SubAck(vec![1])]);
    }
    mqtt.pass(SECOND);
    mqtt
}

/// Publishes numbers, fifty a second.
fn publish(mqtt: &mut Mqtt, numbers: std::ops::Range<u16>) {
    for number in numbers {
        mqtt.post(1, "t/x", number + 1, &number.to_string());
        mqtt.pass(Duration::from_millis(20));
    }
}

#[test]
fn each_message_goes_to_one_random_member_of_each_group() {
    let mut mqtt = group(&[v3("a"), v5("b"), v3("c")]);
    // Another filter is another group, and so is another name; an ordinary subscription gets all.
    mqtt.subscribe(4, "$share/g/+/x", 1);
    mqtt.register("all", "acme", "all");
    mqtt.hello(9, &v3("all"));
    mqtt.subscribe(9, "t/x", 1);
    let mut counts = [0; 3];
    let mut of_all = 0;
    for round in 0..60 {
        publish(&mut mqtt, round..round + 1);
        for (connection, count) in (2..).zip(&mut counts) {
            *count += mqtt.take(connection).len();
        }
        of_all += mqtt.take(9).len();
    }
    assert_eq!((counts.iter().sum::<usize>(), of_all), (120, 60), "once for each of two groups");
    assert!(counts[0] > 8 && counts[1] > 8 && counts[2] > 60, "{counts:?}");
}

#[test]
fn messages_wait_for_a_persistent_member_and_no_other() {
    for (kept, waits) in [(v3("a").kept(), true), (v5("a").kept(), true), (v3("a"), false)] {
        let mut mqtt = group(std::slice::from_ref(&kept));
        mqtt.closed(2);
        publish(&mut mqtt, 0..30);
        mqtt.post(1, "t/x", 0, "with QoS 0");
        mqtt.pass(SECOND);
        assert_eq!(mqtt.hello(3, &kept), [Got::ConnAck(waits, 0)]);
        let mut counts = Vec::new();
        for _ in 0..3 {
            mqtt.pass(Duration::from_millis(999));
            counts.push(mqtt.take(3).len());
            mqtt.pass(Duration::from_millis(1));
        }
        assert_eq!(counts, if waits { [20, 10, 0] } else { [0, 0, 0] }, "twenty a second: {kept:?}");
    }
}

#[test]
fn a_group_without_persistent_members_ends_with_the_last_connection() {
    let mut mqtt = group(&[v3("a"), v3("b")]);
    mqtt.closed(2);
    publish(&mut mqtt, 0..3);
    assert_eq!(mqtt.take(3), ["0", "1", "2"], "the other member");
    mqtt.closed(3);
    publish(&mut mqtt, 3..6);
    assert_eq!(mqtt.hello(4, &v3("a")), [Got::ConnAck(false, 0)]);
    mqtt.subscribe(4, GROUP, 1);
    mqtt.pass(SECOND);
    assert_eq!(mqtt.take(4), [""; 0]);
}

#[test]
fn members_that_have_no_room_leave_messages_to_others_or_to_the_queue() {
    let mut mqtt = group(&[v5("a").kept().with(|p| p.receive_maximum = Some(1)), v3("b")]);
    publish(&mut mqtt, 0..20);
    let (of_a, of_b) = (mqtt.delivered(2), mqtt.take(3));
    assert_eq!((of_a.len(), of_b.len()), (1, 19));
    mqtt.closed(3);
    publish(&mut mqtt, 20..23);
    assert_eq!(mqtt.delivered(2), [], "its window is full");
    mqtt.ack(2, of_a[0].id);
    let mut taken = Vec::new();
    for _ in 0..10 {
        mqtt.pass(Duration::from_millis(50));
        taken.extend(mqtt.take(2));
    }
    assert_eq!(taken, ["20", "21", "22"]);
}

#[test]
fn what_has_waited_for_the_session_expiry_is_dropped() {
    let kept = v3("a").kept();
    let mut mqtt = group(std::slice::from_ref(&kept));
    mqtt.closed(2);
    publish(&mut mqtt, 0..2);
    // The session may last for half an hour longer than the messages.
    mqtt.pass(Duration::from_secs(3_590));
    let present = mqtt.hello(3, &kept);
    mqtt.closed(3);
    mqtt.pass(Duration::from_secs(60));
    assert_eq!((present, mqtt.hello(4, &kept)), (vec![Got::ConnAck(true, 0)], vec![Got::ConnAck(true, 0)]));
    mqtt.pass(SECOND);
    assert_eq!(mqtt.take(4), [""; 0]);
}

#[test]
fn shared_filters_and_their_limits() {
    let long = format!("$share/{}/t", "n".repeat(129));
    let seven = "$share/g/1/2/3/4/5/6/7/8";
    for (filter, code) in [
        (GROUP, 1),
        (seven, 1),
        ("$share/g/1/2/3/4/5/6/7/8/9", 0x8F),
        ("$share/g", 0x8F),
        ("$share//t", 0x8F),
        ("$share/g/", 0x8F),
        ("$share/g+/t", 0x8F),
        ("$share/g#/t", 0x8F),
        ("$share/g/$aws/events/thing/+/created", 0x8F),
        (&long, 0x8F),
    ] {
        let mut mqtt = Mqtt::connected(&[v5("a")]);
        assert_eq!(mqtt.subscribe(1, filter, 1), [Got::SubAck(vec![code])], "{filter}");
    }
    // A hundred groups an account, fifty subscriptions a connection.
    let mut mqtt = Mqtt::connected(&[v5("a"), v5("b"), v5("c")]);
    let mut codes = [0; 2];
    for n in 0..120 {
        let answer = mqtt.subscribe(1 + n / 40, &format!("$share/g{n}/t"), 1);
        codes[usize::from(answer == [Got::SubAck(vec![0x97])])] += 1;
    }
    assert_eq!(codes, [100, 20]);
    // A hundred members a group, and a hundred changes a second.
    let names: Vec<String> = (0..102).map(|n| format!("m{n}")).collect();
    let mut mqtt = Mqtt::connected(&names.iter().map(|name| v5(name)).collect::<Vec<_>>());
    let answers: Vec<_> = (1..=100).map(|connection| mqtt.subscribe(connection, GROUP, 1)).collect();
    assert!(answers.iter().all(|answer| *answer == [Got::SubAck(vec![1])]));
    assert_eq!(mqtt.subscribe(101, GROUP, 1), [Got::SubAck(vec![0x97])]);
    assert_eq!(mqtt.unsubscribe(1, GROUP), [Got::UnsubAck(vec![0x80])], "the rate of changes");
    mqtt.pass(SECOND);
    assert_eq!(mqtt.unsubscribe(1, GROUP), [Got::UnsubAck(vec![0])]);
    assert_eq!(mqtt.subscribe(101, GROUP, 1), [Got::SubAck(vec![1])]);
}
