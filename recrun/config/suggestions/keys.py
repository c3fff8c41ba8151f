"""Answer keys of other programs (RecBole, FreeRec, Elliot, Cornac, LensKit, PyTorch scripts) with the settings here.

A key that means the same is in `_RENAMED`; what stands elsewhere or has no counterpart is in `_REMARKS`. A few
answers are made of the values that were written (`recrun.config.suggestions.translations`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from recrun.errors import nearest

_RENAMED: Final = {
    "attention_activation": "attention_hidden_activations",
    "attention_dims": "attention_hidden_units attention_mlp_layers",
    "attention_softmax": "din_use_softmax",
    "attention_dropout": "attn_dropout attn_dropout_prob attention_probs_dropout_prob",
    "batch_size": "batchsize bs batch train_batch_size training_batch_size per_device_train_batch_size",
    "beta1": "adam_beta1",
    "beta2": "adam_beta2",
    "compile_model": "torch_compile",
    "accumulate": "accumulate_grad_batches accumulation_steps gradient_accumulation_steps grad_accum",
    "clip_norm": "clip_grad_norm grad_clip max_grad_norm gradient_clip_val gradient_clip grad_norm",
    "contrast_temperature": "ssl_temp ssl_tau cl_temperature",
    "contrast_weight": "ssl_weight cl_rate cl_weight ssl_lambda",
    "dataset": "data dataset_name data_name",
    "description": "exp_name experiment_name exp tasktag comment",
    "dropout": "dropout_prob dropout_rate drop_rate dropout_p hidden_dropout hidden_dropout_prob",
    "duplicates": "rm_dup_inter",
    "early_stop_patience": "early_stop early_stopping early_stopping_patience early_stopping_rounds patience "
    "stopping_step",
    "history_groups": "din_sequence_field",
    "hidden_dim": "hidden_size hidden_units inner_size",
    "latent_dim": "lat_dim latent_dimension z_dim",
    "ema_decay": "ema ema_rate use_ema model_ema_decay ema_momentum",
    "embedding_dim": "d_model dim emb_dim emb_size embed_dim embed_size embedding_size factors hidden_size "
    "hidden_units latent_dimension n_dims n_factors num_dims num_factors",
    "encoding": "file_encoding",
    "epochs": "epoch iterations max_epoch max_epochs max_iter n_epochs n_iter nb_epochs nepochs num_epoch num_epochs "
    "num_train_epochs",
    "eval_freq": "eval_every eval_interval eval_step val_freq validation_rate check_val_every_n_epoch",
    "checkpoint_freq": "save_freq save_every save_step save_interval",
    "eval_test": "do_test",
    "eval_valid": "do_valid do_validate",
    "hidden_dims": "hidden_sizes hidden_size_list dnn_hidden_units mlp_hidden_size mlp_dims",
    "init_std": "initializer_range init_scale",
    "item_column": "iid_column item_col item_field item_id_field itemid_column",
    "kl_warmup_steps": "total_anneal_steps anneal_steps",
    "kl_weight": "anneal_cap",
    "label_column": "label_col label_field",
    "loss": "criterion loss_fn loss_function loss_name loss_type",
    "lr": "learn_rate learning_rate lrate lr_rate base_lr",
    "lr_gamma": "gamma lr_decay lr_decay_rate lr_factor",
    "lr_scheduler": "lr_schedule lr_scheduler_type schedule scheduler",
    "lr_step_size": "lr_decay_step lr_step step_size",
    "max_length": "max_item_list_length max_len max_seq_len max_seq_length max_sequence_length maxlen seq_len",
    "model": "algorithm model_name recommender",
    "monitors": "eval_metrics",
    "n_cross_layers": "cross_layer_num cross_num",
    "n_heads": "heads num_heads",
    "n_iterations": "iterations max_iter n_iter num_iterations",
    "n_layers": "layers num_blocks num_layers n_blocks",
    "n_negatives": "n_neg n_negs neg_num neg_ratio neg_samples negatives num_neg num_negatives num_negs "
    "train_neg_sample_num",
    "n_neighbors": "k max_nbrs n_nbrs neighbors neighborhood_size neighbours num_neighbors num_neighbours",
    "noise": "noise_eps",
    "num_workers": "dataloader_num_workers n_workers nworkers worker workers",
    "optimizer": "learner optim optimizer_name optimizer_type",
    "rating_column": "rating_col rating_field",
    "rating_threshold": "pos_threshold positive_threshold relevance_threshold threshold",
    "reg_weight": "l2_reg l2_weight lambda_reg reg reg_lambda regularization regularisation",
    "embedding_decay": "decay l2_reg l2_weight lambda_reg reg reg_lambda reg_weights regularization regularisation",
    "weight_decay": "l2 l2_lambda l2_reg l2_weight lambda_reg reg reg_lambda reg_weights regularization "
    "regularisation wd",
    "root": "data_dir data_folder data_path data_root dataset_dir dataset_path",
    "seed": "global_seed manual_seed random_seed random_state rng_seed",
    "separator": "delimiter field_separator sep",
    "shared_columns": "share_embedding",
    "split": "data_split split_strategy splitting splitting_method",
    "temperature": "tau",
    "test_path": "test_data test_file",
    "test_ratio": "test_fraction test_frac test_size",
    "threads": "cpu_threads n_jobs n_threads nproc nthreads num_threads torch_num_threads",
    "time_column": "time_col time_field timestamp_col timestamp_column timestamp_field",
    "train_path": "train_data train_file",
    "user_column": "uid_column user_col user_field user_id_field userid_column",
    "valid_path": "val_data val_file valid_data valid_file",
    "valid_ratio": "val_fraction val_frac val_ratio val_size valid_fraction valid_size validation_size",
    "warmup_steps": "num_warmup_steps n_warmup_steps lr_warmup_steps warm_up_steps",
    "which4best": "best_metric early_stop_metric main_metric metric_for_best_model monitor_metric valid_metric "
    "val_metric validation_metric",
}

_REMARKS: Final = {
    "a config here is flat, one KEY: VALUE a line, for one model on one data set; write model: and dataset: at the "
    "top, and sweep over several with recrun sweep; recrun import does so with configs of Elliot and WarpRec": "models "
    "experiment data_config hyperparameters model_args model_params dataset_args train_args training trainer "
    "optimizer_args optimizer_params",
    "a run folder goes where the option --runs says (recrun train ... --runs DIR); remove the key": "checkpoint_dir "
    "ckpt_dir log_dir logdir logging_dir out out_dir output output_dir output_folder results_dir save_dir save_path "
    "saved_dir path_output_rec_result path_output_rec_weight runs runs_dir",
    "every run saves its last and its best state; remove the key": "save save_model save_weights save_best saved "
    "save_recs save_checkpoint",
    "a run is continued with recrun train --resume RUN; remove the key": "checkpoint checkpoint_path ckpt ckpt_path "
    "load_model pretrained pretrained_path restore resume_from resume_from_checkpoint restore_path",
    "name the config itself, as in recrun train FILE; or let this one extend it with extends: FILE": "cfg config "
    "config_file config_files config_file_list base_config include inherit",
    "verbose: 0, 1 or 2 says how much is printed; numbers are stored unrounded": "show_progress progress progress_bar "
    "loss_decimal_place metric_decimal_place log_level state quiet silent log_interval print_every report_freq",
    "the same config always gives the same numbers; remove the key": "cudnn_deterministic deterministic "
    "reproducibility",
    "prepared data is cached by itself; remove the key": "save_dataset save_dataloaders dataset_save_path "
    "dataloaders_save_path cache use_cache",
    "training rows are shuffled anew in each epoch; remove the key": "shuffle shuffle_data",
    "ranking takes as many users at once as eval_memory (in MB) allows; remove the key": "eval_batch_size "
    "test_batch_size valid_batch_size val_batch_size per_device_eval_batch_size",
    "it is known of each metric whether more is better; remove the key": "valid_metric_bigger greater_is_better "
    "metric_bigger maximize",
    "items seen before are ranked too with mask_seen: false": "retain_seen repeatable",
    "ranking is over all items, or candidates if these are set; remove the key": "ranking "
    "eval_type eval_neg_sample_args test_neg num_eval_negatives exclude_unknowns sampled_eval "
    "full_sort eval_mode",
    "dataset: File names its columns by user_column, item_column, rating_column, time_column": "load_col "
    "unload_col columns col_names names usecols alias_of_user_id alias_of_item_id additional_feat_suffix",
    "given parts are named by train_path, valid_path and test_path (dataset: File)": "benchmark_filename "
    "train_valid_test",
    "every run draws its curves into summary/ and writes event files of TensorBoard; remove the key": "draw_loss_pic "
    "tensorboard use_tensorboard",
    "trackers are named by track, as in track: [mlflow]": "wandb use_wandb log_wandb wandb_project wandb_entity logger "
    "loggers callbacks report_to mlflow",
    "write filter, a condition on columns, or min_user_interactions and min_item_interactions": "val_interval "
    "filter_inter_by_user_or_item prefiltering",
    "write min_user_interactions and min_item_interactions": "k_core kcore core n_core cores min_interactions "
    "user_inter_num_interval item_inter_num_interval min_inter min_user_inter_num min_item_inter_num",
    "write lr_scheduler: linear, with warmup_steps": "warmup_ratio lr_warmup",
    "write beta1 and beta2": "betas adam_betas",
    "a run is one process on one device; remove the key": "ddp ddp_backend world_size local_rank "
    "nproc_per_node distributed n_gpus num_gpus strategy multi_gpu master_port ip port offset nodes",
    "write dropout, the share that is dropped": "keep_prob keep_rate",
    "values to try are given to recrun sweep, as in recrun sweep CONFIG lr=1e-3,1e-4": "hyper_opt_alg "
    "hyper_max_evals search_space param_grid grid hyperopt tune_params",
}

RENAMED: Final[dict[str, list[str]]] = {}
"""Keys elsewhere, and the settings here that mean the same, of which the first that a run has is meant."""
for _key, _spellings in _RENAMED.items():
    for _spelling in _spellings.split():
        RENAMED.setdefault(_spelling, []).append(_key)

TYPO: Final = 0.8
"""How similar a key must be to a setting, or to a key of another program, to be clearly that one misspelled."""
_LONG: Final = 6

REMARKS: Final[dict[str, str]] = {key: remark for remark, keys in _REMARKS.items() for key in keys.split()}
"""Keys elsewhere that mean something that no single setting is, and what to do."""


def bare(key: str) -> str:
    """Return a key in small letters, with underscores for dashes, as the tables have them."""
    return key.lower().replace("-", "_")


def renamed(key: str, known: Container[str]) -> str | None:
    """Return which of the known settings is called `key` elsewhere, or None.

    >>> renamed("learning_rate", {"lr", "epochs"}), renamed("Epoch", {"lr", "epochs"}), renamed("lr", {"lr"})
    ('lr', 'epochs', None)
    """
    return next((each for each in RENAMED.get(bare(key), ()) if each in known), None)


def meant_setting(key: str, known: Iterable[str]) -> str | None:
    """Return the setting that was meant by `key`: by what other programs call it, else by its letters.

    Args:
        key: the key as it was written.
        known: the settings there are.
    """
    names = list(known)
    same = next((name for name in names if bare(name) == bare(key)), None)
    clear = same or renamed(key, names) or nearest(key, names, TYPO)
    return clear or _renamed_typo(key, names) or nearest(key, names)


def _renamed_typo(key: str, known: list[str]) -> str | None:
    """Return which of the known settings is elsewhere called nearly as `key`, or None."""
    if len(key) < _LONG:
        return None
    spelled = nearest(bare(key), [each for each in RENAMED if len(each) >= _LONG and renamed(each, known)], TYPO)
    return spelled and renamed(spelled, known)
