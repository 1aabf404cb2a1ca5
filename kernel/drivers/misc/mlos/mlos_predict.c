// SPDX-License-Identifier: GPL-2.0
/* When an inference will be over, from what the model took before and what is in front of it. */
#include <linux/capability.h>
#include <linux/ktime.h>

#include "mlos.h"

static u64 expected_ns(const struct mlos_model *model)
{
	return mlos_latency_quantile(&model->latency, 500);
}

/*
 * What is granted has still to end, what is queued in front has to run, and `slots` run at a time: the sum over the slots. An
 * inference whose model has no history counts nothing, so the figure is a lower bound until every model has run once.
 */
static u64 wait_behind(const struct mlos_ahead *ahead, u64 now_ns)
{
	u64 work_ns = ahead->work_ns;
	struct mlos_inference *i;

	if (mlos_sched.slots_free && !ahead->count)
		return 0;
	list_for_each_entry(i, &mlos_sched.granted, link) {
		u64 elapsed = now_ns - i->granted_ns;

		work_ns += (mlos_latency_median_given(&i->model->latency, elapsed) - elapsed) * i->threads;
	}
	return div_u64(work_ns, mlos_sched.slots);
}

u64 mlos_predict_work(const struct mlos_inference *i)
{
	return min(expected_ns(i->model), MLOS_QUEUE_MAX_WORK_NS / MLOS_MAX_SLOTS) * i->threads;
}

u64 mlos_predict_wait(u32 priority, u64 deadline_ns, u64 now_ns)
{
	struct mlos_ahead ahead = mlos_queue_ahead(&mlos_sched.queue, priority, deadline_ns);

	return wait_behind(&ahead, now_ns);
}

static u32 miss_pct(const struct mlos_model *model, u64 starts_ns, u64 elapsed_ns, u64 deadline_ns)
{
	if (!deadline_ns)
		return 0;
	if (deadline_ns <= starts_ns)
		return 100;
	return mlos_latency_above_pct_given(&model->latency, deadline_ns - starts_ns, elapsed_ns);
}

void mlos_predict_at_start(struct mlos_inference *i, u64 starts_ns)
{
	if (!i->deadline_ns || !i->model->latency.samples)
		return;
	i->prediction.completion_ns = starts_ns + expected_ns(i->model);
	i->prediction.miss_pct = miss_pct(i->model, starts_ns, 0, i->deadline_ns);
}

static long predict_inference(const struct mlos_inference *i, struct mlos_deadline_predict *a)
{
	u64 now_ns = ktime_get_ns(), starts_ns, elapsed_ns = 0;
	struct mlos_ahead ahead;

	if (!i->model->latency.samples)
		return -ENODATA;
	if (i->granted_ns) {
		starts_ns = i->granted_ns;
		elapsed_ns = now_ns - i->granted_ns;
		a->predicted_completion_ns = starts_ns + mlos_latency_median_given(&i->model->latency, elapsed_ns);
	} else {
		ahead = mlos_queue_ahead_of(&mlos_sched.queue, &i->qnode);
		starts_ns = now_ns + wait_behind(&ahead, now_ns);
		a->predicted_completion_ns = starts_ns + expected_ns(i->model);
	}
	a->miss_probability_pct = miss_pct(i->model, starts_ns, elapsed_ns, i->deadline_ns);
	a->slack_ns = i->deadline_ns ? (s64)(i->deadline_ns - a->predicted_completion_ns) : 0;
	/* Only one that waits, would be in time if it started now, and will not be otherwise. */
	a->should_preempt = !i->granted_ns && i->deadline_ns && a->miss_probability_pct >= 50 &&
			    miss_pct(i->model, now_ns, 0, i->deadline_ns) < 50;
	return 0;
}

long mlos_ioc_deadline_predict(struct mlos_file *file, void *arg)
{
	struct mlos_deadline_predict *a = arg;
	struct mlos_idnode *node;
	long ret = -ENOENT;

	if (a->flags)
		return -EINVAL;
	mutex_lock(&mlos_sched.lock);
	node = mlos_idtable_find(&file->inferences, a->inference_id);
	if (node)
		ret = predict_inference(container_of(node, struct mlos_inference, node), a);
	mutex_unlock(&mlos_sched.lock);
	return ret;
}

long mlos_ioc_model_predict(struct mlos_file *file, void *arg)
{
	struct mlos_model_predict *a = arg;
	struct mlos_model *model;
	struct mlos_ahead ahead;
	u64 now_ns, starts_ns;

	if (a->flags || a->priority >= MLOS_CLASSES || !a->threads || a->threads > mlos_sched.slots)
		return -EINVAL;
	model = mlos_model_get(file, a->model_id);
	if (!model)
		return -ENOENT;
	mutex_lock(&mlos_sched.lock);
	now_ns = ktime_get_ns();
	a->avg_ns = model->latency.mean_ns;
	a->min_ns = model->latency.min_ns;
	a->max_ns = model->latency.max_ns;
	a->p99_ns = mlos_latency_quantile(&model->latency, 990);
	a->samples = model->latency.samples;
	ahead = mlos_queue_ahead(&mlos_sched.queue, a->priority, a->deadline_ns);
	a->queue_position = ahead.count;
	a->predicted_wait_ns = wait_behind(&ahead, now_ns);
	starts_ns = now_ns + a->predicted_wait_ns;
	a->predicted_completion_ns = starts_ns + expected_ns(model);
	a->miss_probability_pct = miss_pct(model, starts_ns, 0, a->deadline_ns);
	mutex_unlock(&mlos_sched.lock);
	mlos_model_put(model);
	return 0;
}

long mlos_ioc_model_latency_ext(struct mlos_file *file, void *arg)
{
	struct mlos_model_latency_ext *a = arg;
	struct mlos_model *model;

	if (a->flags)
		return -EINVAL;
	model = mlos_model_get(file, a->model_id);
	if (!model)
		return -ENOENT;
	mutex_lock(&mlos_sched.lock);
	a->p50_duration_ns = mlos_latency_quantile(&model->latency, 500);
	a->p90_duration_ns = mlos_latency_quantile(&model->latency, 900);
	a->p99_duration_ns = mlos_latency_quantile(&model->latency, 990);
	a->variance_ns = model->latency.variance;
	a->stddev_ns = mlos_isqrt(model->latency.variance);
	a->outlier_count = model->latency.outliers;
	a->samples = model->latency.samples;
	mutex_unlock(&mlos_sched.lock);
	mlos_model_put(model);
	return 0;
}

long mlos_ioc_prediction_accuracy(struct mlos_file *file, void *arg)
{
	struct mlos_prediction_accuracy *a = arg;
	const struct mlos_accuracy *acc = &mlos_sched.accuracy;

	if (a->flags & ~MLOS_ACCURACY_RESET)
		return -EINVAL;
	if (a->flags && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	mutex_lock(&mlos_sched.lock);
	a->total_predictions = acc->total;
	a->accurate_predictions = acc->accurate;
	a->missed_predictions = acc->missed;
	a->false_alarms = acc->false_alarms;
	a->avg_prediction_error_ns = acc->mean_error_ns;
	a->variance_ns = acc->variance;
	a->accuracy_pct = mlos_accuracy_pct(acc);
	a->calibration_score = mlos_accuracy_calibration(acc);
	if (a->flags)
		memset(&mlos_sched.accuracy, 0, sizeof(mlos_sched.accuracy));
	mutex_unlock(&mlos_sched.lock);
	return 0;
}
