//! Costs of one day by stack, from Cost Explorer.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_costexplorer::Client;
use aws_sdk_costexplorer::types::{
    DateInterval, Expression, Granularity, Group, GroupDefinition, GroupDefinitionType, TagValues,
};

use crate::calls::Clock;
use crate::function::FunctionError;
use crate::template::{TAG_ENVIRONMENT, TAG_STACK};

/// The metric of Cost Explorer: what was used times its price, whatever was paid in advance.
const METRIC: &str = "UnblendedCost";
/// The currency of the metrics.
const CURRENCY: &str = "USD";
/// Most pages of an answer. Each costs 0.01 USD, and a page holds far more groups than there are stacks.
const PAGES_MAX: usize = 20;

/// Costs in USD by stack; those of resources without the tag have an empty name.
pub(super) type Costs = BTreeMap<String, f64>;

fn unknown(text: impl Into<String>) -> FunctionError {
    FunctionError::Costs(text.into())
}

/// Asks for the costs of `environment` from `day` (inclusive) to `end` (exclusive), both `yyyy-MM-dd`.
pub(super) async fn of_day(
    client: &Client,
    clock: &Clock,
    environment: &str,
    (day, end): (&str, &str),
    deadline: SystemTime,
) -> Result<Costs, FunctionError> {
    let period = DateInterval::builder().start(day).end(end).build().expect("start and end are set");
    let filter = TagValues::builder().key(TAG_ENVIRONMENT).values(environment).build();
    let filter = Expression::builder().tags(filter).build();
    let group = GroupDefinition::builder().r#type(GroupDefinitionType::Tag).key(TAG_STACK).build();
    let (mut costs, mut token) = (Costs::new(), None::<String>);
    for _ in 0..PAGES_MAX {
        let call = || {
            let get = client.get_cost_and_usage().time_period(period.clone()).granularity(Granularity::Daily);
            let get = get.metrics(METRIC).group_by(group.clone()).filter(filter.clone());
            get.set_next_page_token(token.clone()).send()
        };
        let page = clock.call_again(deadline, call).await.map_err(|e| unknown(format!("GetCostAndUsage: {e}")))?;
        for group in page.results_by_time().iter().flat_map(|result| result.groups()) {
            let (stack, cost) = cost(group)?;
            *costs.entry(stack).or_default() += cost;
        }
        token = page.next_page_token().map(str::to_owned);
        if token.is_none() {
            return Ok(costs);
        }
    }
    Err(unknown(format!("GetCostAndUsage gave more than {PAGES_MAX} pages")))
}

/// The stack of a group, whose key is `stack$name`, and its cost.
fn cost(group: &Group) -> Result<(String, f64), FunctionError> {
    let key = group.keys().first().map_or("", String::as_str);
    let stack = key.strip_prefix(TAG_STACK).and_then(|rest| rest.strip_prefix('$'));
    let stack = stack.ok_or_else(|| unknown(format!("a group is {key:?}, not a value of the tag {TAG_STACK:?}")))?;
    let metric = group.metrics().and_then(|metrics| metrics.get(METRIC));
    let (amount, unit) = metric.map_or(("", ""), |m| (m.amount().unwrap_or(""), m.unit().unwrap_or("")));
    let value: Option<f64> = amount.parse().ok().filter(|value: &f64| value.is_finite());
    match value {
        Some(value) if unit == CURRENCY => Ok((stack.to_owned(), value)),
        _ => Err(unknown(format!("the cost of {key:?} is {amount:?} {unit:?}, not a number of {CURRENCY}"))),
    }
}
