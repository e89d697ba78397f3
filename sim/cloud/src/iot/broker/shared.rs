//! Shared subscriptions: `$share/{ShareName}/{TopicFilter}`. Each message goes to one member of each group that matches.
//! Source: "Shared subscriptions" of the IoT Core guide.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use super::delivery::{Offered, offer};
use super::session::{Grant, Kept, SessionId};
use super::{Broker, Iot};
use crate::core::{Cx, Service, TokenBucket};
use crate::iot::policy::Action;
use crate::iot::quotas::Quotas;
use crate::iot::topic::check_filter;
use crate::iot::trie::FilterTrie;
use crate::iot::wakeup::Wakeup;
use world::time::Time;
use world::trace::Level;

/// Start of a shared subscription's filter.
pub(super) const PREFIX: &str = "$share/";

/// Which group: its place in [`Groups`].
pub(super) type GroupId = usize;

/// One group: those who subscribed to one topic filter under one name.
#[derive(Debug)]
struct Group {
    /// As its members wrote it, with `$share/` and its name.
    filter: Arc<str>,
    members: BTreeMap<SessionId, Grant>,
    /// Messages for persistent members while none is there to take them.
    queue: VecDeque<Kept>,
    /// Rate of subscribing and unsubscribing.
    changes: TokenBucket,
    /// When queued messages go out next.
    next: Option<Time>,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    places: Vec<Option<Group>>,
    free: Vec<GroupId>,
    by_filter: BTreeMap<Arc<str>, GroupId>,
    /// Topic filters by group.
    filters: FilterTrie,
    /// Members of all groups.
    count: usize,
}

/// The topic filter of a shared subscription, or why the text is none.
pub(super) fn topic_filter(shared: &str, name_max: usize) -> Result<&str, &'static str> {
    let (name, filter) = shared.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).unwrap_or(("", ""));
    if name.is_empty() || name.chars().count() > name_max || name.contains(['+', '#']) {
        return Err("a share name has 1 to 128 characters and none of / + #");
    }
    if filter.starts_with('$') {
        return Err("not modelled: shared subscriptions to reserved topics");
    }
    check_filter(filter)?;
    Ok(filter)
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.by_filter.is_empty()
    }

    /// Subscriptions in all groups.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The groups whose filter matches a topic.
    pub(super) fn matching(&self, segments: &[&str]) -> Vec<GroupId> {
        let mut found = BTreeMap::new();
        if !self.filters.is_empty() {
            self.filters.matching(segments, &mut found);
        }
        found.into_keys().map(|group| usize::try_from(group).expect("it was a usize")).collect()
    }

    /// Adds a member, or says which quota refuses it.
    pub(super) fn join(
        &mut self,
        now: Time,
        quotas: &Quotas,
        filter: &Arc<str>,
        member: SessionId,
        grant: Grant,
    ) -> Result<(), &'static str> {
        let id = match self.by_filter.get(filter) {
            Some(id) => *id,
            None if self.by_filter.len() >= quotas.shared_groups => {
                return Err("the account has too many shared groups");
            }
            None => self.add(now, quotas, filter)?,
        };
        let group = self.places[id].as_mut().expect("it is in the table");
        let is_new = !group.members.contains_key(&member);
        if is_new && group.members.len() >= quotas.subscriptions_per_group {
            return Err("the shared group has too many subscriptions");
        }
        if !group.changes.try_take(now, 1) {
            return Err("the shared group is subscribed to too often");
        }
        group.members.insert(member, grant);
        self.count += usize::from(is_new);
        Ok(())
    }

    fn add(&mut self, now: Time, quotas: &Quotas, filter: &Arc<str>) -> Result<GroupId, &'static str> {
        let topics = topic_filter(filter, quotas.share_name_length)?;
        let group = Group {
            filter: filter.clone(),
            members: BTreeMap::new(),
            queue: VecDeque::new(),
            changes: TokenBucket::per_second(quotas.shared_group_changes, now),
            next: None,
        };
        let id = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.filters.insert(topics, id as u64, 0);
        self.places[id] = Some(group);
        self.by_filter.insert(filter.clone(), id);
        Ok(id)
    }

    /// Whether a member may leave now.
    pub(super) fn may_change(&mut self, now: Time, filter: &str) -> bool {
        let group = self.by_filter.get(filter).and_then(|id| self.places[*id].as_mut());
        group.is_none_or(|group| group.changes.try_take(now, 1))
    }

    /// Removes a member; the last one takes the group and its queue with it.
    pub(super) fn leave(&mut self, filter: &str, member: SessionId) {
        let Some(id) = self.by_filter.get(filter).copied() else { return };
        let Some(group) = self.places[id].as_mut() else { return };
        self.count -= usize::from(group.members.remove(&member).is_some());
        if group.members.is_empty() {
            if let Ok(topics) = topic_filter(filter, usize::MAX) {
                self.filters.remove(topics, id as u64);
            }
            self.by_filter.remove(filter);
            self.places[id] = None;
            self.free.push(id);
        }
    }

    /// Queued messages of a group may go out.
    pub(super) fn wake(&mut self, cx: &mut Cx<'_>, filter: &str) {
        let Some(id) = self.by_filter.get(filter).copied() else { return };
        let Some(group) = self.places[id].as_mut() else { return };
        if !group.queue.is_empty() && group.next.is_none() {
            group.next = Some(cx.now);
            cx.timers.at(cx.now, Service::Iot, Wakeup::Shared(id as u64).token());
        }
    }
}

impl Broker {
    /// Forgets a subscription of a session.
    pub(super) fn forget_filter(&mut self, id: SessionId, filter: &str) {
        if filter.starts_with(PREFIX) {
            self.shared.leave(filter, id);
        } else {
            self.subscriptions.remove(filter, id as u64);
        }
    }
}

impl Iot {
    /// Gives a message to a random member of a group that is connected, may receive it and can take it; keeps it for the
    /// group when none can and a member has a persistent session.
    pub(super) fn deliver_to_group(&mut self, cx: &mut Cx<'_>, group: GroupId, message: &Kept, qos: u8) {
        if self.give_to_member(cx, group, message, qos) {
            return;
        }
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Broker { shared, sessions, .. } = &mut self.broker;
        let Some(group) = shared.places[group].as_mut() else { return };
        let is_kept = |(member, grant): (&SessionId, &Grant)| {
            grant.qos > 0 && sessions.get(*member).is_some_and(|session| !session.expiry.is_zero())
        };
        if qos == 0 || !group.members.iter().any(is_kept) {
            return;
        }
        if group.queue.len() >= quotas.queued_per_group || !quotas.queued.try_take(cx.now, 1) {
            cx.meter.add("iot", "PublishOut.Throttle", 1);
            let fields = [("metric", "PublishOut.Throttle".into())];
            cx.trace.event(Level::Call, cx.now, "iot", "deliver-refused", &message.topic, &fields);
            return;
        }
        cx.trace.event(Level::Message, cx.now, "iot", "queue", &message.topic, &[("group", (&*group.filter).into())]);
        group.queue.push_back(message.clone());
        let filter = group.filter.clone();
        if self.has_taker(&filter) {
            self.broker.shared.wake(cx, &filter);
        }
    }

    /// Whether a member of a group is connected.
    fn has_taker(&self, filter: &str) -> bool {
        let group = self.broker.shared.by_filter.get(filter).and_then(|id| self.broker.shared.places[*id].as_ref());
        let is_live = |member: &SessionId| self.broker.sessions.get(*member).is_some_and(|s| s.live.is_some());
        group.is_some_and(|group| group.members.keys().any(is_live))
    }

    /// Members of a group that can take a message now, with the QoS of their subscriptions.
    fn takers(&mut self, now: Time, group: GroupId, message: &Kept) -> Vec<(SessionId, u8)> {
        let Broker { shared, sessions, .. } = &mut self.broker;
        let Some(group) = &shared.places[group] else { return Vec::new() };
        let mut takers = Vec::new();
        for (member, grant) in &group.members {
            let Some(session) = sessions.get_mut(*member) else { continue };
            let Some(live) = &session.live else { continue };
            if session.outbound.unacknowledged.len() < live.window
                && live.permissions.allows(Action::Receive, &message.topic)
                && session.publishes.available(now) > 0
            {
                takers.push((*member, grant.qos));
            }
        }
        takers
    }

    fn give_to_member(&mut self, cx: &mut Cx<'_>, group: GroupId, message: &Kept, qos: u8) -> bool {
        let takers = self.takers(cx.now, group, message);
        let chosen = match takers.as_slice() {
            [] => return false,
            [only] => *only,
            several => several[cx.rng.random_range(0..several.len())],
        };
        let (member, granted) = chosen;
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let Some(session) = self.broker.sessions.get_mut(member) else { return false };
        offer(cx, quotas, (member, session), message.clone(), granted.min(qos)) == Offered::Taken
    }

    /// Sends queued messages of a group: to each connected member one, as often as the quota allows.
    pub(in crate::iot) fn drain_group(&mut self, cx: &mut Cx<'_>, group: u64) {
        let id = usize::try_from(group).expect("it was a usize");
        let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
        let (kept_s, each_s) = (quotas.session_expiry_s, quotas.dequeue_per_member.max(1));
        let Some(Some(group)) = self.broker.shared.places.get_mut(id) else { return };
        if group.next.is_none_or(|next| next > cx.now) {
            return;
        }
        group.next = None;
        let now = cx.now;
        group.queue.retain(|message| {
            !message.has_expired(now) && (message.expires().is_some() || now.since(message.since).as_secs() < kept_s)
        });
        let filter = group.filter.clone();
        let mut served = BTreeSet::new();
        while let Some(message) = self.broker.shared.places[id].as_mut().and_then(|group| group.queue.pop_front()) {
            let taker = self.takers(cx.now, id, &message).into_iter().find(|(member, _)| !served.contains(member));
            let Some((member, granted)) = taker else {
                if let Some(group) = self.broker.shared.places[id].as_mut() {
                    group.queue.push_front(message);
                }
                break;
            };
            served.insert(member);
            let quotas = self.quotas.get_or_insert_with(|| Quotas::new(cx));
            if let Some(session) = self.broker.sessions.get_mut(member) {
                offer(cx, quotas, (member, session), message, granted);
            }
        }
        let goes_on = self.has_taker(&filter);
        if let Some(Some(group)) = self.broker.shared.places.get_mut(id)
            && !group.queue.is_empty()
            && goes_on
        {
            let next = cx.now + Duration::from_secs(1) / u32::try_from(each_s).unwrap_or(u32::MAX);
            group.next = Some(next);
            cx.timers.at(next, Service::Iot, Wakeup::Shared(id as u64).token());
        }
    }
}
